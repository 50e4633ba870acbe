import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';

export const REPO = path.join(import.meta.dirname, '..', '..');
export const MAIN = path.join(REPO, 'src', 'cli', 'main.ts');
export const LAUNCHER = path.join(REPO, 'bin', 'dormouse');

/** A folder of the test's own. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-cli-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What this process has, without any setting of Dormouse, and with those that are given. */
export function environment(settings: Record<string, string> = {}): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined &&
      !/^(DORMOUSE_|NATS_URL$|DATABASE_URL$|FORCE_COLOR$|NODE_OPTIONS$|TAP)/.test(name),
  ) as Array<[string, string]>;
  return { DORMOUSE_DATA_DIR: '/nonexistent', ...Object.fromEntries(kept), ...settings };
}

export interface Finished {
  status: number | undefined;
  signal: string | undefined;
  stdout: Buffer;
  stderr: string;
}

const CHILD_OPTIONS = {
  extendEnv: false,
  encoding: 'buffer',
  stripFinalNewline: false,
  reject: false,
} as const;

/**
 * Starts `node <args>` with standard input closed. The test runner gives each Node that a test starts loaders of its own
 * by NODE_OPTIONS; these are slow, and cannot load a program whose file has no extension.
 *
 * @param options of execa, besides those that all children have
 */
export function startNode(
  args: readonly string[],
  settings: Record<string, string>,
  options: { input?: Uint8Array; stdin?: 'pipe'; buffer?: boolean; cwd?: string; node?: string } = {},
) {
  const { node = process.execPath, input, stdin, ...more } = options;
  return execa('env', ['-u', 'NODE_OPTIONS', node, ...args], {
    ...CHILD_OPTIONS,
    env: environment(settings),
    ...(input ? { input } : { stdin: stdin ?? 'ignore' }),
    ...more,
  });
}

/** Runs the command line as a child process to its end. */
export function dormouse(
  args: readonly string[],
  settings: Record<string, string> = {},
  input?: Uint8Array,
): Promise<Finished> {
  return finished(startNode([MAIN, ...args], settings, input ? { input } : {}));
}

/** The end of a child process in the words of these tests. */
export async function finished(
  child: PromiseLike<{ exitCode?: number; signal?: string; stdout?: unknown; stderr?: unknown }>,
): Promise<Finished> {
  const result = await child;
  return {
    status: result.exitCode,
    signal: result.signal,
    stdout: bytes(result.stdout),
    stderr: bytes(result.stderr).toString(),
  };
}

/** Output that was not kept is empty. */
function bytes(output: unknown): Buffer {
  return output instanceof Uint8Array ? Buffer.from(output) : Buffer.alloc(0);
}

/** The JSON document that a command printed, which must be all that it printed. */
export function json<T = Record<string, unknown>>(result: Finished): T {
  return JSON.parse(result.stdout.toString()) as T;
}

/** The lines that a command printed. */
export function lines(result: Finished): string[] {
  return result.stdout.toString().trimEnd().split('\n');
}

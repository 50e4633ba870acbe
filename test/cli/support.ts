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

/** Runs the command line as a child process. Standard input is empty unless there is an `input`. */
export async function dormouse(
  args: readonly string[],
  settings: Record<string, string> = {},
  input?: Uint8Array,
): Promise<Finished> {
  return finished(
    execa(process.execPath, [MAIN, ...args], {
      env: environment(settings),
      extendEnv: false,
      encoding: 'buffer',
      stripFinalNewline: false,
      reject: false,
      ...(input ? { input } : { stdin: 'ignore' as const }),
    }),
  );
}

/** The end of a child process in the words of these tests. */
export async function finished(
  child: PromiseLike<{ exitCode?: number; signal?: string; stdout: Uint8Array; stderr: Uint8Array }>,
): Promise<Finished> {
  const result = await child;
  return {
    status: result.exitCode,
    signal: result.signal,
    stdout: Buffer.from(result.stdout),
    stderr: Buffer.from(result.stderr).toString(),
  };
}

/** The JSON document that a command printed, which must be all that it printed. */
export function json<T = Record<string, unknown>>(result: Finished): T {
  return JSON.parse(result.stdout.toString()) as T;
}

/** The lines that a command printed. */
export function lines(result: Finished): string[] {
  return result.stdout.toString().trimEnd().split('\n');
}

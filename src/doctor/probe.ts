import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { findProgram } from '../embedded/child.ts';
import { messageOf } from '../errors/index.ts';

export type Answer = { ok: true; output: string } | { ok: false; reason: string };

/**
 * Runs a program that only looks. Gives what it wrote to both outputs, or why it failed: not installed, or the first thing
 * that it complained about.
 *
 * @param name program
 * @param debianPackage what to install when it is missing
 * @param folders where to look besides `PATH` and the system's folders
 */
export async function ask(
  name: string,
  debianPackage: string,
  args: readonly string[],
  signal: AbortSignal,
  folders: readonly string[] = [],
): Promise<Answer> {
  try {
    const program = await findProgram(name, debianPackage, folders);
    const result = await execa(program, args, {
      all: true,
      reject: false,
      stdin: 'ignore',
      cancelSignal: signal,
    });
    signal.throwIfAborted();
    if (!result.failed) return { ok: true, output: result.all };
    return { ok: false, reason: result.stderr.trim().split('\n')[0] || (result.shortMessage ?? 'it failed') };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, reason: messageOf(error) };
  }
}

/** Why this process cannot open a device for reading and writing, or undefined when it can. */
export async function cannotOpen(device: string): Promise<string | undefined> {
  return access(device, constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? `there is no ${device}` : `${device} may not be opened (${error.code})`,
  );
}

/** The folder itself, or the nearest one above it that is there: where it would be made. */
export async function nearestFolder(folder: string): Promise<string> {
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) {
    const there = await access(at).then(
      () => true,
      () => false,
    );
    if (there) return at;
  }
  return path.parse(folder).root;
}

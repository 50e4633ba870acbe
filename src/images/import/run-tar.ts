import type { Hash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { execa } from 'execa';
import { findProgram } from '../../embedded/child.ts';
import { DormouseError } from '../../errors/index.ts';
import { LineSplitter } from '../../line-splitter.ts';
import { type Archive, readArchive } from './archive.ts';
import { invalid } from './invalid.ts';
import type { ImportLimits } from './limits.ts';

/** GNU tar, with an archive as its input. */

export interface TarOptions {
  archive: Archive;
  limits: ImportLimits;
  signal: AbortSignal;
  /** Is told of bytes of the archive that were read. */
  read(bytes: number): void;
  /** Takes the lines that tar prints; they are ASCII. */
  line?(line: string): void;
  /** Gets the decompressed archive, too. */
  hash?: Hash;
}

/** Address space that tar may take, in bytes: a header can claim to be of any length, and tar asks for that at once. */
const MEMORY_BYTES = 2 ** 30;
/** What a line of tar's has beside two quoted names, in bytes: kind, mode, owner, size and time. */
const LINE_REST_BYTES = 256;
/** Longest target of a link that the kernel takes, in bytes. */
const PATH_MAX = 4096;
/** A byte of a name that is quoted is at most a backslash and three digits. */
const QUOTED_BYTES = 4;
/** As much of what tar complains about as is kept, in characters. */
const COMPLAINT_CHARACTERS = 2 ** 16;

/**
 * How tar is run: it ends when this process does, it cannot make device nodes, whatever is in the archive, and its memory
 * is bounded.
 */
const CONFINED = ['--pdeathsig', 'KILL', '--bounding-set=-mknod', '--'];
/** TAR_OPTIONS of our own environment would be taken as arguments (tar(1)); names are bytes only in the C locale. */
const ENVIRONMENT = { LC_ALL: 'C', TAR_OPTIONS: '', TZ: 'UTC' };

/**
 * Runs tar on the archive to the end of both.
 *
 * @throws `TEMPLATE_INVALID` when the archive cannot be read or unpacked; `DISK_FULL`, `DISK_FAILED`,
 * `DEPENDENCY_MISSING`; the signal's reason when it aborts; what `line` throws
 */
export async function runTar(args: readonly string[], options: TarOptions): Promise<void> {
  const { archive, limits, signal, read, line, hash } = options;
  signal.throwIfAborted();
  const [setpriv, prlimit, tar] = await Promise.all([
    findProgram('setpriv', 'util-linux'),
    findProgram('prlimit', 'util-linux'),
    findProgram('tar', 'tar'),
  ]);
  // The first of the three that fails ends the other two.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const endAll = (error: unknown): never => {
    failed.abort(error);
    throw error;
  };
  const running = execa(setpriv, [...CONFINED, prlimit, `--as=${MEMORY_BYTES}`, tar, '--file=-', ...args], {
    cancelSignal: either,
    killSignal: 'SIGKILL',
    reject: false,
    stdout: line ? 'pipe' : 'ignore',
    buffer: { stdout: false },
    maxBuffer: { stderr: COMPLAINT_CHARACTERS },
    env: ENVIRONMENT,
  });
  const { stdin, stdout } = running;
  const take = (piece: Buffer): Promise<void> => {
    hash?.update(piece);
    return give(stdin, piece);
  };
  const feeding = readArchive(archive, { limits, signal: either, read, take })
    .finally(() => stdin.end())
    .catch(endAll);
  const reading = line && stdout ? readLines(stdout, limits, line).catch(endAll) : undefined;
  const [, , ended] = await Promise.allSettled([feeding, reading, running]);
  if (signal.aborted) throw signal.reason;
  if (failed.signal.aborted) throw failed.signal.reason;
  if (ended.status === 'rejected') throw ended.reason;
  const complaint = ended.value.stderr ?? '';
  if (ended.value.signal !== undefined && !ended.value.isMaxBuffer)
    throw new DormouseError('DISK_FAILED', `tar was ended by ${ended.value.signal}.`);
  if (ended.value.failed) throw tarError(complaint || (ended.value.shortMessage ?? ''));
  if (/^\S*tar: .*extended attribute/m.test(complaint))
    throw new DormouseError(
      'DISK_FAILED',
      `Capabilities and attributes of files cannot be kept here: ${firstLine(complaint)}`,
    );
}

/**
 * Waits until the stream can take more. tar stops reading at the mark of the archive's end; what is behind it still has
 * to be decompressed, since a checksum comes last.
 */
async function give(stdin: Writable, piece: Buffer): Promise<void> {
  if (stdin.destroyed || stdin.writableEnded || stdin.write(piece)) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      stdin.off('drain', go).off('close', go);
      resolve();
    };
    stdin.on('drain', go).on('close', go);
  });
}

/** Names in an archive can be of any length: a line that is too long for what may be in it is not put together. */
async function readLines(
  stdout: Readable,
  { pathBytes }: ImportLimits,
  take: (line: string) => void,
): Promise<void> {
  const lines = new LineSplitter(QUOTED_BYTES * (pathBytes + PATH_MAX) + LINE_REST_BYTES, 'latin1');
  for await (const piece of stdout as AsyncIterable<Buffer>) {
    let whole: string[];
    try {
      whole = lines.push(piece);
    } catch (cause) {
      throw invalid('name', `The archive has an entry whose name is far longer than ${pathBytes} bytes.`, {
        cause,
      });
    }
    for (const line of whole) take(line);
  }
}

/** What the host lacks, as opposed to the archive. */
const HOST_FAILED =
  /: (Read-only file system|Input\/output error|Operation not permitted|Permission denied)$/m;

function tarError(complaint: string): DormouseError {
  const data = { output: complaint.slice(-2000) };
  // A write that comes to the end of the space is short first, and tar says no more of it.
  if (/no space left|quota exceeded|wrote only \d+ of/i.test(complaint))
    return new DormouseError('DISK_FULL', 'The archive could not be unpacked: no space is left.', { data });
  const [what] = HOST_FAILED.exec(complaint) ?? [];
  if (what !== undefined)
    return new DormouseError('DISK_FAILED', `The archive could not be unpacked${what}.`, { data });
  return invalid('unreadable', `tar cannot read the archive: ${firstLine(complaint)}.`);
}

function firstLine(complaint: string): string {
  return (complaint.split('\n')[0] ?? '').replace(/^\S*tar: /, '').replace(/\.$/, '');
}

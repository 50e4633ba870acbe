import { once } from 'node:events';
import { styleText } from 'node:util';

/**
 * The only place that writes to the terminal. Results go to standard output, and all that is said about them (errors,
 * progress) to standard error, so that a result can be piped on.
 */

/** Status of a program that was ended by SIGPIPE, as a shell reports it. */
const SIGPIPE_STATUS = 141;

const listeners = new Set<() => void>();

// The reader of a pipe, such as `head`, has gone: nobody is left to tell. This must not go by the signal SIGPIPE, for
// which a listener would also be called when a socket's other end has gone, such as a server's that was restarted.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (listeners.size === 0) process.exit(SIGPIPE_STATUS);
    for (const gone of listeners) gone();
  });
}

/** Calls `gone` when nobody reads the output any more, instead of ending the process. Returns an undo. */
export function onReaderGone(gone: () => void): () => void {
  listeners.add(gone);
  return () => listeners.delete(gone);
}

/** Writes a line of a result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a result as one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** Writes a line about the work: progress, a warning, an error. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Draws a line about the work over the one that was drawn before. For terminals only. */
export function sayOver(line: string): void {
  process.stderr.write(`\r\u001b[K${line}`);
}

/** Writes bytes as they are. Resolves when the stream can take more, so that a fast program does not fill the memory. */
export async function writeBytes(name: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
  if (!process[name].write(bytes)) await once(process[name], 'drain');
}

export type Paint = Parameters<typeof styleText>[0];

/** Colours text for standard output, unless it is no terminal or `NO_COLOR` is set. */
export function paint(style: Paint, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** As `paint`, for standard error. */
export function paintError(style: Paint, text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

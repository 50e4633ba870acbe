import { PassThrough, type Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import type { Clock, Timer } from '../clock.ts';
import type { ProblemDocument } from './problem.ts';

/** Answers that come while the work is done: one JSON document a line. */

export const NDJSON_TYPE = 'application/x-ndjson';

/** A silent stream carries an empty line this often, in milliseconds, so that nobody between takes it for dead. */
const HEARTBEAT_MS = 15_000;
/** What a slow reader leaves here, in bytes; beyond it no more is passed on but the last line. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;

export interface LineStreamPorts {
  clock: Clock;
  /** The error as it stands in the last line. */
  problemOf(thrown: unknown): ProblemDocument;
}

/** Whether the caller names the streamed form among what it accepts. */
export function acceptsLines({ headers }: FastifyRequest): boolean {
  return (headers.accept ?? '')
    .split(',')
    .some((range) => range.split(';')[0]?.trim().toLowerCase() === NDJSON_TYPE);
}

/**
 * Does the work, and passes on what it writes as lines. The last line is what it resolves with, or `{"error": Problem}`; in
 * between are empty lines while nothing is written. Of what is written, the reader gets the beginning without gaps.
 *
 * Resolves when there is a first line. What fails before that is thrown, and can still be answered with a status.
 */
export async function streamLines(
  { clock, problemOf }: LineStreamPorts,
  work: (write: (line: object) => void) => Promise<object>,
): Promise<Readable> {
  const lines = new PassThrough();
  const begun = Promise.withResolvers<void>();
  let hasBegun = false;
  let isCut = false;
  let heartbeat: Timer | undefined;

  const send = (text: string): void => {
    hasBegun = true;
    begun.resolve();
    lines.write(`${text}\n`);
    beat();
  };
  const beat = (): void => {
    heartbeat?.cancel();
    heartbeat = clock.after(HEARTBEAT_MS, () => send(''));
  };
  beat();
  const ended = work((line) => {
    isCut ||= lines.writableLength > UNREAD_BYTES_MAX;
    if (!isCut) send(JSON.stringify(line));
  })
    .then(
      (last) => send(JSON.stringify(last)),
      (error: unknown) => {
        if (!hasBegun) throw error;
        send(JSON.stringify({ error: problemOf(error) }));
      },
    )
    .finally(() => {
      heartbeat?.cancel();
      lines.end();
    });
  await Promise.race([begun.promise, ended]);
  return lines;
}

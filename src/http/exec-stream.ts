import { PassThrough, type Readable } from 'node:stream';
import type { ExecReply } from '../actors/sandbox/protocol.ts';
import { ioSubject } from '../bus/subjects.ts';
import type { Bus } from '../bus/types.ts';
import type { Clock, Timer } from '../clock.ts';
import type { ProblemDocument } from './problem.ts';

export const NDJSON_TYPE = 'application/x-ndjson';

/** A silent program's stream carries an empty line this often, in milliseconds, so that nobody between takes it for dead. */
const HEARTBEAT_MS = 15_000;
/** Output that a slow reader leaves here, in bytes; beyond it no more is passed on, and the result has the rest. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;

export interface ExecStreamPorts {
  bus: Bus;
  clock: Clock;
  /** The error as it stands in the last line. */
  problemOf(thrown: unknown): ProblemDocument;
}

/**
 * Runs an exec and passes its output on while it comes, one JSON document a line:
 *
 * - `{"stream": "stdout" | "stderr", "data": …, "encoding": "utf8" | "base64"}`, any number of times; their sum is the
 *   beginning of what the program wrote, without gaps;
 * - last, `{"result": ExecReply}`, which has the whole output again, or `{"error": Problem}`;
 * - in between, empty lines while the program says nothing.
 *
 * Resolves when there is a first line. What fails before that is thrown, and can still be answered with a status.
 *
 * @param commandId names the exec; its output is subscribed to before `run` is called, so none is missed
 */
export async function streamExec(
  { bus, clock, problemOf }: ExecStreamPorts,
  commandId: string,
  run: () => Promise<ExecReply>,
): Promise<Readable> {
  const lines = new PassThrough();
  const begun = Promise.withResolvers<void>();
  let hasBegun = false;
  let isCut = false;
  let heartbeat: Timer | undefined;

  const write = (line: string): void => {
    hasBegun = true;
    begun.resolve();
    lines.write(`${line}\n`);
    heartbeat?.cancel();
    heartbeat = clock.after(HEARTBEAT_MS, () => write(''));
  };
  heartbeat = clock.after(HEARTBEAT_MS, () => write(''));
  const subscriptions = (['stdout', 'stderr'] as const).map((stream) =>
    bus.subscribe(ioSubject(commandId, stream), (bytes) => {
      isCut ||= lines.writableLength > UNREAD_BYTES_MAX;
      if (!isCut) write(JSON.stringify({ stream, ...textOf(bytes) }));
    }),
  );
  const ended = run()
    .then(
      (result) => write(JSON.stringify({ result })),
      (error: unknown) => {
        if (!hasBegun) throw error;
        write(JSON.stringify({ error: problemOf(error) }));
      },
    )
    .finally(() => {
      heartbeat?.cancel();
      for (const subscription of subscriptions) subscription.close();
      lines.end();
    });
  await Promise.race([begun.promise, ended]);
  return lines;
}

/** Text as it is when the bytes are whole characters of UTF-8; base64 otherwise. */
function textOf(bytes: Uint8Array): { data: string; encoding: 'utf8' | 'base64' } {
  try {
    const data = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { data, encoding: 'utf8' };
  } catch {
    return { data: Buffer.from(bytes).toString('base64'), encoding: 'base64' };
  }
}

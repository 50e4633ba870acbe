import type { Readable } from 'node:stream';
import type { ExecReply } from '../actors/sandbox/protocol.ts';
import { ioSubject } from '../bus/subjects.ts';
import type { Bus } from '../bus/types.ts';
import { type LineStreamPorts, streamLines } from './line-stream.ts';

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
  { bus, ...ports }: LineStreamPorts & { bus: Bus },
  commandId: string,
  run: () => Promise<ExecReply>,
): Promise<Readable> {
  return await streamLines(ports, async (write) => {
    const subscriptions = (['stdout', 'stderr'] as const).map((stream) =>
      bus.subscribe(ioSubject(commandId, stream), (bytes) => write({ stream, ...textOf(bytes) })),
    );
    try {
      return { result: await run() };
    } finally {
      for (const subscription of subscriptions) subscription.close();
    }
  });
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

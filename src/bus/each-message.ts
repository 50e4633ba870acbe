import type { Consumer, JsMsg } from '@nats-io/jetstream';

/** How long one pull waits for messages at the server, in milliseconds; the server says every third of it that it lives. */
const PULL_MS = 15_000;

/**
 * Pulls messages and hands them over one after another, until the signal aborts. Those that were on their way then come, too.
 *
 * @param onTheirWayMax how many messages wait here for those before them; the server keeps the rest
 * @throws when the consumer is lost; what `handle` throws
 */
export async function eachMessage(
  consumer: Consumer,
  onTheirWayMax: number,
  handle: (message: JsMsg) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const messages = await consumer.consume({
    max_messages: onTheirWayMax,
    expires: PULL_MS,
    idle_heartbeat: PULL_MS / 3,
    abort_on_missing_resource: true,
  });
  const stop = (): void => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    for await (const message of messages) await handle(message);
  } finally {
    signal.removeEventListener('abort', stop);
    messages.stop();
  }
}

import { createParser } from 'eventsource-parser';
import type { Test } from 'tap';
import type { EdgeApp } from '../../src/http/index.ts';
import { until } from '../support/nats.ts';

export interface ReadEvent {
  event: string;
  id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every form
  data: any;
}

/** Somebody who reads a stream of events. */
export interface EventReader {
  status: number;
  headers: Record<string, unknown>;
  /** All that came, as it came. */
  text(): string;
  events: ReadEvent[];
  /** Whether the stream has ended or broken. */
  isEnded(): boolean;
  /** Resolves when that many events of the name have come, or fails. */
  until(count: number, event?: string): Promise<ReadEvent[]>;
  /** Hangs up. */
  close(): void;
}

/** Opens a stream. The test's teardown hangs up. */
export async function readEvents(
  t: Test,
  edge: EdgeApp,
  url: string,
  { key, headers = {} }: { key: string; headers?: Record<string, string> },
): Promise<EventReader> {
  const hangUp = new AbortController();
  t.teardown(() => hangUp.abort());
  const response = await edge.inject({
    url,
    headers: { 'x-api-key': key, accept: 'text/event-stream', ...headers },
    payloadAsStream: true,
    signal: hangUp.signal,
  });
  const events: ReadEvent[] = [];
  let text = '';
  let ended = false;
  const parser = createParser({
    onEvent: ({ event = 'message', id, data }) => events.push({ event, id, data: JSON.parse(data) }),
  });
  const body = response.stream();
  const end = (): void => {
    ended = true;
  };
  body.on('data', (chunk: Buffer) => {
    text += chunk;
    parser.feed(chunk.toString());
  });
  body.on('end', end);
  // Whoever hangs up ends it.
  body.on('error', end);
  return {
    status: response.statusCode,
    headers: response.headers,
    text: () => text,
    events,
    isEnded: () => ended,
    async until(count, event = 'inspection') {
      const found = () => events.filter((one) => one.event === event);
      await until(() => found().length >= count, `${count} events ${event}`);
      return found();
    },
    close: () => hangUp.abort(),
  };
}

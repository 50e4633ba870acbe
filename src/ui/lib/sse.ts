import { createParser } from 'eventsource-parser';
import { ApiError, authHeaders, problemOf } from './api.ts';
import { hiddenWatch, untilShown } from './shown.ts';
import { wait } from './wait.ts';

/** Server-sent events with an API key, which the browser's own `EventSource` cannot send. */

interface StreamEvent {
  /** Name of the event. */
  event: string;
  /** Parsed from JSON. */
  data: unknown;
}

export type StreamStatus = 'connecting' | 'open' | 'waiting';

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 10_000;
/** The server says something at least every 15 s. After so much silence the connection is dead, though nobody has said so. */
const SILENCE_MAX_MS = 45_000;
/**
 * A page that nobody sees keeps its stream for so long. Over HTTP/1.1 a browser has six connections to a server in all, for all of its
 * tabs: those that are seen need them.
 */
const HIDDEN_MAX_MS = 30_000;

/**
 * Follows a stream until `signal` aborts. When the connection breaks it connects again, with the id of the last event, so that
 * the server goes on where it was. A page that nobody sees lets go of it after a while, and goes on when it is seen again.
 *
 * @param lastId where it begins, when that is not now
 * @param hiddenMaxMs how long the page may be hidden before that, in milliseconds
 * @param onStatus hears of each change: `waiting` is the time before another try, after one that failed
 * @throws `ApiError` when the server refuses the stream; resolves when `signal` has aborted
 */
export async function follow(
  path: string,
  onEvent: (event: StreamEvent) => void,
  {
    signal,
    lastId,
    hiddenMaxMs = HIDDEN_MAX_MS,
    onStatus = () => {},
  }: {
    signal: AbortSignal;
    lastId?: string;
    hiddenMaxMs?: number;
    onStatus?: (status: StreamStatus) => void;
  },
): Promise<void> {
  let retryMs = RETRY_FIRST_MS;
  for (;;) {
    await untilShown(signal);
    if (signal.aborted) return;
    onStatus('connecting');
    const silence = silenceWatch(signal);
    const hidden = hiddenWatch(silence.signal, hiddenMaxMs);
    let isBroken = false;
    try {
      const headers = {
        ...authHeaders(),
        accept: 'text/event-stream',
        ...(lastId !== undefined && { 'last-event-id': lastId }),
      };
      const response = await fetch(path, { headers, signal: hidden.signal, cache: 'no-store' });
      if (!response.ok) {
        const problem = await problemOf(response);
        // What will be the same next time is told; a server that is overloaded or starts is asked again.
        if (response.status < 500 && response.status !== 429) throw new ApiError(problem);
        throw new Error(problem.detail);
      }
      onStatus('open');
      const parser = createParser({
        onEvent({ event = 'message', data, id }) {
          if (id !== undefined) lastId = id;
          onEvent({ event, data: JSON.parse(data) });
        },
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
        silence.heard();
        retryMs = RETRY_FIRST_MS;
        parser.feed(read.value);
      }
    } catch (error) {
      if (error instanceof ApiError && !signal.aborted) throw error;
      isBroken = true;
    } finally {
      silence.stop();
      hidden.stop();
    }
    if (signal.aborted) return;
    if (hidden.isOver) continue;
    // The server ends a stream now and then, to look at the key anew.
    onStatus(isBroken ? 'waiting' : 'connecting');
    await wait(retryMs, signal);
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
  }
}

/** A signal that aborts with `outer`, and when nothing was heard for too long. */
function silenceWatch(outer: AbortSignal): { signal: AbortSignal; heard(): void; stop(): void } {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE_MAX_MS);
  return {
    signal: AbortSignal.any([outer, silent.signal]),
    heard() {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE_MAX_MS);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

import { effect, signal } from '@preact/signals';
import { ApiError, answered, parsed, respond } from './api.ts';
import { type Call, curlOf, natsOf } from './call.ts';
import { lineReader } from './lines.ts';
import { me } from './me.ts';
import { apiKey } from './session.ts';

/** Requests that a person caused: each is kept with its answer and its time, to be looked at and to be repeated by hand. */

export interface SentRequest {
  /** Counts from 1. */
  number: number;
  call: Call;
  curl: string;
  /** Undefined for what only the edge answers. */
  nats: string | undefined;
  /** By the browser's clock. */
  sentAt: Date;
  /** Undefined while there is no answer; 0 when none came. */
  status?: number;
  ms?: number;
  /** What was answered, as text: JSON, lines of JSON, or why there is nothing. */
  answer: string;
}

const KEPT = 50;
/** Of each answer, in characters. */
const ANSWER_KEPT = 20_000;

/** Newest first. Whoever has another key may not see what was answered before. */
export const sentRequests = signal<readonly SentRequest[]>([]);
effect(() => {
  apiKey.value;
  sentRequests.value = [];
});

let count = 0;

/**
 * Sends a request and returns the JSON of its answer.
 *
 * @throws `ApiError`; what `signal` was aborted with
 */
export async function send<T>(call: Call, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
  const entry = begin(call);
  return await entry.answeredBy(async () => {
    const response = await respond(call.method, call.path, optionsOf(call, signal));
    const answer = (await answered(response.json(), signal)) as T;
    entry.answered(response.status, JSON.stringify(answer, null, 2));
    return answer;
  });
}

/**
 * Sends a request whose answer comes line by line, each a JSON document.
 *
 * @throws as `send`; `ApiError` with status 0 when the answer breaks off
 */
export async function sendForLines<Line>(
  call: Call,
  onLine: (line: Line) => void,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const streamed = { ...call, headers: { ...call.headers, accept: 'application/x-ndjson' } };
  const entry = begin(streamed);
  await entry.answeredBy(async () => {
    const response = await respond(call.method, call.path, optionsOf(streamed, signal));
    let seen = '';
    const lines = lineReader((text) => {
      seen = `${seen}${text}\n`.slice(0, ANSWER_KEPT);
      onLine(parsed<Line>(text));
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (reader) {
      const { done, value } = await answered(reader.read(), signal);
      if (done) break;
      lines.take(value);
    }
    lines.end();
    entry.answered(response.status, seen);
  });
}

/** Puts a request on top of the list; its answer is told later. */
export function begin(call: Call): {
  answered(status: number, answer: string): void;
  /** Runs what sends it, and notes why it failed when it does. */
  answeredBy<T>(work: () => Promise<T>): Promise<T>;
} {
  count += 1;
  const number = count;
  const startedMs = performance.now();
  const sent: SentRequest = {
    number,
    call,
    curl: curlOf(call, window.location.origin, apiKey.peek() !== '' || me.peek()?.auth === 'keys'),
    nats: natsOf(call),
    sentAt: new Date(),
    answer: '',
  };
  sentRequests.value = [sent, ...sentRequests.peek()].slice(0, KEPT);
  const note = (status: number, answer: string): void => {
    const ended = { status, answer: answer.slice(0, ANSWER_KEPT), ms: performance.now() - startedMs };
    sentRequests.value = sentRequests
      .peek()
      .map((one) => (one.number === number ? { ...one, ...ended } : one));
  };
  return {
    answered: note,
    async answeredBy(work) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof ApiError) note(error.status, JSON.stringify(error.problem, null, 2));
        else note(0, error instanceof Error ? error.message : String(error));
        throw error;
      }
    },
  };
}

function optionsOf({ body, headers }: Call, signal: AbortSignal | undefined) {
  return { ...(body && { body }), ...(headers && { headers }), ...(signal && { signal }) };
}

import { ApiError, authHeaders, type Problem, parsed, problemIn } from './api.ts';
import type { Call } from './call.ts';
import { lineReader } from './lines.ts';
import { begin } from './send.ts';

/** Sends a file as the body of a request. `fetch` does not say how much of a body has been sent, so this is the older way. */

interface UploadOptions<Line> {
  /** Hears how much of the file has been sent, in bytes. */
  onSent: (bytes: number) => void;
  /** Hears each line of the answer, a JSON document. */
  onLine: (line: Line) => void;
  signal: AbortSignal;
}

/**
 * Resolves when the answer has ended.
 *
 * @throws `ApiError`; what `signal` was aborted with
 */
export async function sendFile<Line>(call: Call, file: File, options: UploadOptions<Line>): Promise<void> {
  const { onSent, onLine, signal } = options;
  const headers = { ...call.headers, accept: 'application/x-ndjson' };
  const entry = begin({ ...call, headers });
  await entry.answeredBy(
    () =>
      new Promise<void>((resolve, reject) => {
        const xhr = new XMLHttpRequest();
        const lines = lineReader((text) => onLine(parsed<Line>(text)));
        let read = 0;
        const readOn = (): void => {
          if (xhr.status < 200 || xhr.status >= 300) return;
          lines.take(xhr.responseText.slice(read));
          read = xhr.responseText.length;
        };
        xhr.open(call.method, call.path);
        for (const [name, value] of Object.entries({ ...authHeaders(), ...headers }))
          xhr.setRequestHeader(name, value);
        xhr.upload.onprogress = ({ loaded }) => onSent(loaded);
        // Nobody hears of what a handler throws.
        const orFail = (work: () => void) => (): void => {
          try {
            work();
          } catch (error) {
            reject(error);
            xhr.abort();
          }
        };
        xhr.onprogress = orFail(readOn);
        xhr.onload = orFail(() => {
          readOn();
          lines.end();
          if (xhr.status < 200 || xhr.status >= 300) reject(new ApiError(problemIn(xhr.responseText, xhr)));
          else {
            entry.answered(xhr.status, xhr.responseText);
            resolve();
          }
        });
        xhr.onerror = () => reject(new ApiError(BROKEN));
        xhr.onabort = () => reject(signal.reason);
        signal.addEventListener('abort', () => xhr.abort());
        xhr.send(file);
      }),
  );
}

const BROKEN: Problem = {
  code: 'NO_ANSWER',
  title: 'No answer',
  detail: 'The connection broke before there was an answer.',
  status: 0,
};

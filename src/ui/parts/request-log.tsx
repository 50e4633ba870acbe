import type { JSX } from 'preact';
import { duration, timeOfDay } from '../lib/format.ts';
import type { SentRequest } from '../lib/send.ts';
import { CopyButton } from './copy-button.tsx';

/** Requests that were sent, each as command lines that send it again, with its answer and its time. */

export function RequestLog({ requests }: { requests: readonly SentRequest[] }): JSX.Element {
  if (requests.length === 0) return <p class="empty">What a button sends is shown here.</p>;
  return (
    <div class="request-log">
      {requests.map((sent) => (
        <RequestEntry key={sent.number} sent={sent} />
      ))}
    </div>
  );
}

function RequestEntry({ sent }: { sent: SentRequest }): JSX.Element {
  const { call, curl, nats, answer } = sent;
  return (
    <article
      class="request"
      data-request={call.name}
      data-status={sent.status}
      aria-label={`${call.name}, request ${sent.number}`}
    >
      <RequestLine sent={sent} />
      <div class="request-ways">
        <CommandLine way="curl" text={curl} />
        {nats !== undefined && <CommandLine way="nats" text={nats} />}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <pre class="request-answer" data-part="answer" tabIndex={0}>
        {answer}
      </pre>
    </article>
  );
}

/** What was sent, when, and how it ended, in one line. */
export function RequestLine({ sent: { call, sentAt, status, ms } }: { sent: SentRequest }): JSX.Element {
  return (
    <p class="request-line mono">
      <time dateTime={sentAt.toISOString()}>{timeOfDay(sentAt)}</time>
      <b>{call.method}</b>
      <span class="cut">{call.path}</span>
      <span class="request-status" data-good={status === undefined || (status >= 200 && status < 300)}>
        {statusText(status)}
      </span>
      <span class="end">{ms === undefined ? '' : duration(ms)}</span>
    </p>
  );
}

export function statusText(status: number | undefined): string {
  if (status === undefined) return '…';
  if (status === 0) return '✕ none';
  return status < 300 ? String(status) : `✕ ${status}`;
}

function CommandLine({ way, text }: { way: string; text: string }): JSX.Element {
  return (
    <div class="request-way">
      <span>{way}</span>
      <pre data-part={way}>{text}</pre>
      <CopyButton text={text} />
    </div>
  );
}

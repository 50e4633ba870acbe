import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { sentRequests } from '../lib/send.ts';
import { RequestLine, RequestLog, statusText } from '../parts/request-log.tsx';

/** At the bottom of each page: the last request that a button sent, and all of them when it is opened. */
export function RequestBar(): JSX.Element {
  const isOpen = useSignal(false);
  const requests = sentRequests.value;
  const [last] = requests;
  return (
    <section class="request-bar" aria-label="Requests">
      <button
        type="button"
        class="request-bar-head"
        aria-expanded={isOpen.value}
        aria-controls="requests"
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        <span class="request-bar-title">
          <span aria-hidden="true">{isOpen.value ? '▾' : '▸'}</span>
          Requests {requests.length > 0 && <b>{requests.length}</b>}
        </span>
        <span class="request-bar-last" aria-hidden="true">
          {last ? <RequestLine sent={last} /> : 'each with its curl and nats command'}
        </span>
      </button>
      <p class="visually-hidden" role="status">
        {last && `${last.call.name}: ${statusText(last.status)}`}
      </p>
      <div id="requests" class="request-bar-list" hidden={!isOpen.value}>
        {isOpen.value && <RequestLog requests={requests} />}
      </div>
    </section>
  );
}

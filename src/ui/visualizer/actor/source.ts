import { batch, effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import { ApiError, type Problem, request } from '../../lib/api.ts';
import { apiKey } from '../../lib/session.ts';
import { follow, type StreamStatus } from '../../lib/sse.ts';
import type { ActorKind, Inspection, RecentInspections, Transition } from '../../lib/types.ts';
import { wait } from '../../lib/wait.ts';
import { type Entries, fromTransition, isAnew, MAX_ENTRIES, merge } from '../history/entries.ts';
import { perFrame } from './per-frame.ts';

/** The history of an actor of the server, kept up to date while a page looks at it. */
export interface ActorSource {
  entries: ReadonlySignal<Entries>;
  /** `ended`: nothing more will happen to it. */
  status: ReadonlySignal<StreamStatus | 'loading' | 'ended'>;
  /** Why the present or the history is not told; null while both are. */
  problem: ReadonlySignal<Problem | null>;
  /** Asks for all of it and follows it, until what this returns is called. */
  open(): () => void;
}

/** Largest page of transitions that the server gives. */
const PAGE = 200;
const RETRY_MS = 3_000;

/** An actor of the server by its kind and id; nothing is asked for before it is opened. */
export function actorSource(kind: ActorKind, id: string): ActorSource {
  const entries = signal<Entries>([]);
  const status = signal<StreamStatus | 'loading' | 'ended'>('loading');
  const problem = signal<Problem | null>(null);
  const tell = (incoming: Entries): void => {
    const isOther = kind !== 'sandbox' && isAnew(entries.peek(), incoming);
    entries.value = merge(isOther ? [] : entries.peek(), incoming);
  };

  const note = (error: unknown): void => {
    if (!(error instanceof ApiError)) throw error;
    problem.value = error.problem;
  };
  /** Asks for the present. Its host may be away: what happened to it is known all the same. */
  const refresh = async (ended: AbortSignal): Promise<void> => {
    try {
      tell(await presentOf(kind, id, ended));
      problem.value = null;
    } catch (error) {
      if (!ended.aborted) note(error);
    }
  };
  /** @returns the number after which the stream is to go on */
  const load = async (ended: AbortSignal): Promise<number> => {
    if (kind !== 'sandbox') {
      tell(await presentOf(kind, id, ended));
      problem.value = null;
      return lastSeq();
    }
    await refresh(ended);
    // The records may be behind the present: what lies between them is told by the stream.
    return await tellHistory(id, Math.max(0, lastSeq() - MAX_ENTRIES), tell, ended);
  };
  const lastSeq = (): number => entries.peek().at(-1)?.seq ?? 0;

  const run = async (ended: AbortSignal): Promise<void> => {
    const seq = await load(ended);
    const frames = perFrame<Inspection>((incoming) => {
      tell(incoming);
      problem.value = null;
    });
    const isOver = new AbortController();
    let wasLost = false;
    await follow(
      streamOf(kind, id),
      ({ event, data }) => {
        if (event === 'inspection') frames.add(data as Inspection);
        if (event === 'end') isOver.abort();
      },
      {
        signal: AbortSignal.any([ended, isOver.signal]),
        lastId: String(seq),
        onStatus(now) {
          status.value = now;
          // After an interruption a host may be another process, with numbers of its own.
          if (now === 'open' && wasLost) void refresh(ended);
          if (now !== 'connecting') wasLost = now === 'waiting';
        },
      },
    );
    if (isOver.signal.aborted) status.value = 'ended';
    else frames.stop();
  };
  const keepRunning = async (ended: AbortSignal): Promise<void> => {
    while (!ended.aborted) {
      try {
        return await run(ended);
      } catch (error) {
        if (ended.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        problem.value = error.problem;
        // What is refused will be so the next time; a server that is overloaded, starts or is away is asked again.
        const isRefused = error.status >= 400 && error.status < 500 && error.status !== 429;
        status.value = isRefused ? 'ended' : 'waiting';
        if (isRefused) return;
        await wait(RETRY_MS, ended);
      }
    }
  };
  const start = (): (() => void) => {
    const ended = new AbortController();
    batch(() => {
      entries.value = [];
      status.value = 'loading';
      problem.value = null;
    });
    void keepRunning(ended.signal);
    return () => ended.abort();
  };
  return {
    entries,
    status,
    problem,
    open: () =>
      effect(() => {
        // Another key may see another actor of that name, or none.
        apiKey.value;
        return untracked(start);
      }),
  };
}

function streamOf(kind: ActorKind, id: string): string {
  return kind === 'sandbox'
    ? `/v1/sandboxes/${id}/inspection/stream`
    : `/v1/admin/hosts/${encodeURIComponent(id)}/inspections/${kind}/stream`;
}

/** The present as the actor tells it; a host remembers what led to it. */
async function presentOf(kind: ActorKind, id: string, signal: AbortSignal): Promise<Entries> {
  if (kind === 'sandbox')
    return [await request<Inspection>('GET', `/v1/sandboxes/${id}/inspection`, { signal })];
  const path = `/v1/admin/hosts/${encodeURIComponent(id)}/inspections/${kind}`;
  const { now, recent } = await request<RecentInspections>('GET', path, { signal });
  return [...recent, now];
}

/**
 * Tells the transitions of a sandbox after one of them, page by page.
 *
 * @returns the number of the last one
 */
async function tellHistory(
  id: string,
  afterSeq: number,
  tell: (entries: Entries) => void,
  signal: AbortSignal,
): Promise<number> {
  for (let after = afterSeq; ; ) {
    const path = `/v1/sandboxes/${id}/transitions?after_seq=${after}&limit=${PAGE}`;
    const { transitions } = await request<{ transitions: Transition[] }>('GET', path, { signal });
    tell(transitions.map(fromTransition));
    after = transitions.at(-1)?.seq ?? after;
    if (transitions.length < PAGE) return after;
  }
}

import { effect, type ReadonlySignal, signal } from '@preact/signals';
import { ApiError, type Problem, request } from './api.ts';
import { emptyTables, type FleetEvent, type FleetTables, tablesOf, takeOver } from './fleet-state.ts';
import { noteServerTime } from './now.ts';
import { apiKey } from './session.ts';
import { follow, type StreamStatus } from './sse.ts';
import type { Fleet, FleetChange, FleetRefusal, FleetRow, Usual } from './types.ts';
import { wait } from './wait.ts';

/** All sandboxes of the team as they are now, for as long as a page looks at them. */

interface FleetState {
  status: StreamStatus | 'off';
  /** Why the server does not tell; null while it does. */
  problem: Problem | null;
  /** By id; without those that are destroyed. The same map each time: a new state tells that it has changed. */
  rows: ReadonlyMap<string, FleetRow>;
  /** By the full value of the state. */
  usual: ReadonlyMap<string, Usual>;
  /** The newest ones, newest last. */
  changes: readonly FleetChange[];
  refusals: readonly FleetRefusal[];
  /** Whether there are more sandboxes than are told. */
  truncated: boolean;
  /** The server's time when all was told at once; null before. */
  at: string | null;
}

/** Events that wait for a frame. A page that is not shown has no frames: with so many they are taken over without one. */
const WAITING_MAX = 2_000;
const RETRY_MS = 3_000;

const OFF: FleetState = { status: 'off', problem: null, truncated: false, at: null, ...emptyTables() };
const state = signal(OFF);

/** The fleet; it changes at most once in a frame. */
export const fleet: ReadonlySignal<FleetState> = state;

let viewers = 0;
let close = (): void => {};

/** Follows the fleet until what it returns is called. Several viewers share one stream. */
export function openFleet(): () => void {
  viewers += 1;
  if (viewers === 1)
    close = effect(() => {
      // Another key is another team.
      apiKey.value;
      const ended = new AbortController();
      void keepFollowing(ended.signal);
      return () => ended.abort();
    });
  let isOpen = true;
  return () => {
    if (!isOpen) return;
    isOpen = false;
    viewers -= 1;
    if (viewers === 0) close();
  };
}

async function keepFollowing(ended: AbortSignal): Promise<void> {
  state.value = OFF;
  while (!ended.aborted) {
    try {
      await followOnce(ended);
    } catch (error) {
      if (ended.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      state.value = { ...state.peek(), status: 'waiting', problem: error.problem };
      // A key that is wrong stays wrong; another one begins anew.
      if (error.status === 401 || error.status === 403) return;
      await wait(RETRY_MS, ended);
    }
  }
}

/** Asks for everything and follows what changes, until the server says that the page must ask anew. */
async function followOnce(ended: AbortSignal): Promise<void> {
  state.value = { ...state.peek(), status: 'connecting' };
  const all = await request<Fleet>('GET', '/v1/fleet', { signal: ended });
  noteServerTime(all.at);
  const tables = tablesOf(all);
  show(tables, { problem: null, truncated: all.truncated, at: all.at });
  const reset = new AbortController();
  const frames = inFrames(tables);
  try {
    await follow(
      '/v1/fleet/stream',
      ({ event, data }) => {
        if (event === 'reset') reset.abort();
        else if (event === 'transition' || event === 'refused') frames.add({ event, data } as FleetEvent);
      },
      {
        signal: AbortSignal.any([ended, reset.signal]),
        lastId: all.cursor,
        onStatus: (status) => {
          if (!ended.aborted) show(tables, { status });
        },
      },
    );
  } finally {
    frames.stop();
  }
}

function show({ rows, usual, changes, refusals }: FleetTables, rest: Partial<FleetState>): void {
  state.value = { ...state.peek(), rows, usual, changes, refusals, ...rest };
}

/** Collects events, and takes them over together when the browser draws. */
function inFrames(tables: FleetTables): { add(event: FleetEvent): void; stop(): void } {
  let waiting: FleetEvent[] = [];
  let frame = 0;
  const take = (): void => {
    cancelAnimationFrame(frame);
    frame = 0;
    takeOver(tables, waiting);
    waiting = [];
    show(tables, {});
  };
  return {
    add(event) {
      waiting.push(event);
      if (waiting.length >= WAITING_MAX) take();
      else if (frame === 0) frame = requestAnimationFrame(take);
    },
    stop() {
      cancelAnimationFrame(frame);
      waiting = [];
    },
  };
}

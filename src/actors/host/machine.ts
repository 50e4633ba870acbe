import { assign, fromPromise, setup } from 'xstate';
import type { ErrorRecord } from '../../errors/index.ts';
import type { BaseContext } from '../system/actor-options.ts';

/**
 * The life of a host: `starting → ready → draining → stopping → stopped`. Steps in `host-parts.ts`.
 *
 * - `starting`: reads the journals of its sandboxes, takes over their virtual machines, clears what belongs to none.
 * - `ready`: takes new sandboxes.
 * - `draining`: keeps what it has, takes no new ones.
 * - `stopping`: lets go of its sandboxes; they stay as they are.
 */
export interface HostContext extends BaseContext {
  hostId: string;
  /** Why it did not start. */
  error: ErrorRecord | null;
  /** Why something was not let go of: it may work on. */
  notLetGo: ErrorRecord | null;
}

export type HostEvent =
  | { type: 'drain'; command: { id: string; name: string; deadlineMs: number }; atMs: number }
  | { type: 'stop' };

const step = fromPromise<unknown, HostContext>(async () => {
  throw new Error('steps are run by the runtime, not by XState');
});

const input = ({ context }: { context: HostContext }): HostContext => context;

export const hostMachine = setup({
  types: {} as { context: HostContext; events: HostEvent; input: { hostId: string } },
  actors: {} as Record<'adopt' | 'letGo', typeof step>,
  actions: {
    answer: (_, _params: { commandId: string | null; error: ErrorRecord | null }) => {},
    keepError: assign(({ event }) => ({ error: (event as unknown as { error: ErrorRecord }).error })),
    keepLate: assign(({ event }) => ({ notLetGo: (event as unknown as { error: ErrorRecord }).error })),
  },
}).createMachine({
  id: 'host',
  context: ({ input }) => ({ hostId: input.hostId, command: null, error: null, notLetGo: null }),
  initial: 'starting',
  states: {
    starting: {
      invoke: {
        id: 'adopt',
        src: 'adopt',
        input,
        onDone: 'ready',
        onError: { target: 'stopping', actions: 'keepError' },
      },
      on: { stop: 'stopping' },
    },
    ready: {
      tags: ['accepting'],
      on: {
        drain: {
          target: 'draining',
          actions: { type: 'answer', params: ({ event }) => ({ commandId: event.command.id, error: null }) },
        },
        stop: 'stopping',
      },
    },
    draining: {
      on: {
        drain: {
          actions: { type: 'answer', params: ({ event }) => ({ commandId: event.command.id, error: null }) },
        },
        stop: 'stopping',
      },
    },
    stopping: {
      invoke: {
        id: 'letGo',
        src: 'letGo',
        input,
        onDone: 'stopped',
        onError: { target: 'stopped', actions: 'keepLate' },
      },
    },
    stopped: { type: 'final' },
  },
});

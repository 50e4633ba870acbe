import { assign, fromPromise, setup } from 'xstate';
import type { ErrorRecord } from '../../errors/index.ts';
import type { BaseContext } from '../system/actor-options.ts';
import type { Look, Loop } from './registry.ts';
import * as registry from './registry.ts';

/**
 * The life of a host's loop registry. Steps in `steps.ts`, bookkeeping in `registry.ts`. Commands are carried out one at
 * a time, in the order asked.
 *
 * - `rebuilding`: reads from the kernel which loops are ours and who stands on them. Without that the actor cannot work.
 * - `tidying`: detaches loops that nobody holds. One that stays is listed as a leak, and tried again later.
 * - `ready`: takes commands.
 * - `attaching`: makes sure that the image has a loop device. `undoing` takes back what a failed one left.
 * - `releasing`: takes the holder off and detaches the loop after its last one.
 * - `looking`: compares what is known with the kernel.
 */
export interface RegistryContext extends BaseContext {
  loops: readonly Loop[];
  /** What the command that is being carried out names. */
  image: string;
  holder: string;
  /** What the last command that succeeded is answered with. */
  reply: unknown;
  error: ErrorRecord | null;
}

interface Command {
  command: { id: string; name: string; deadlineMs: number };
  atMs: number;
}
export type RegistryEvent =
  | (Command & { type: 'acquire' | 'release'; body: { image: string; holder: string } })
  | (Command & { type: 'leaks' });

/** What `attach` reports. */
export interface Attached {
  look: Look;
  device: string;
}

/** How long a loop that could not be detached is left alone before it is tried again, in milliseconds. */
export const RETRY_MS = 10_000;

const step = fromPromise<unknown, RegistryContext>(async () => {
  throw new Error('steps are run by the runtime, not by XState');
});

const input = ({ context }: { context: RegistryContext }): RegistryContext => context;
/** What a step reported, or why it failed. The events of a step's end carry it. */
const outputOf = <T>(event: unknown): T => (event as { output: T }).output;
const errorOf = (event: unknown): ErrorRecord => (event as { error: ErrorRecord }).error;

export const loopRegistryMachine = setup({
  types: {} as { context: RegistryContext; events: RegistryEvent },
  actors: {} as Record<'look' | 'attach' | 'release' | 'tidy', typeof step>,
  delays: { retry: RETRY_MS },
  guards: {
    // Asked what it takes, the machine is shown a bare event, without a body.
    holds: ({ context: { loops }, event }) =>
      'body' in event && registry.heldBy(loops, event.body.image, event.body.holder) !== undefined,
    leaking: ({ context }) => registry.leaks(context.loops).length > 0,
    stillUsed: ({ event }) => errorOf(event).code === 'DEVICE_BUSY',
  },
  actions: {
    answer: (_, _params: { commandId: string | null; error: ErrorRecord | null }) => {},
    begin: assign(({ event }) => ({
      command: event.command,
      error: null,
      ...('body' in event && { image: event.body.image, holder: event.body.holder }),
    })),
    keepError: assign(({ event }) => ({ error: errorOf(event) })),
    rebuild: assign(({ event }) => ({ loops: registry.rebuilt(outputOf(event)) })),
    see: assign(({ context, event }) => ({ loops: registry.seen(context.loops, outputOf(event)) })),
    hold: assign(({ context: { loops, image, holder }, event }) => {
      const { look, device } = outputOf<Attached>(event);
      const after = registry.held(registry.seen(loops, look), image, device, holder);
      const loop = after.find((one) => one.device === device);
      return { loops: after, reply: loop && registry.entryOf(loop) };
    }),
    takeOff: assign(({ context: { loops, image, holder } }) => ({
      loops: registry.leftBy(loops, image, holder),
    })),
    reportRelease: assign(({ context: { loops, image, holder }, event }) => {
      const left = registry.heldBy(loops, image, holder);
      const after = registry.seen(registry.releasedBy(loops, image, holder), outputOf(event));
      const loop = after.find(({ device, fileId }) => device === left?.device && fileId === left.fileId);
      return {
        loops: after,
        reply: { detached: loop === undefined, holders: loop ? registry.entryOf(loop).holders : [] },
      };
    }),
    reportLeaks: assign(({ context }) => ({ reply: { leaks: registry.leaks(context.loops) } })),
    rest: assign({ command: null, image: '', holder: '', error: null }),
  },
}).createMachine({
  id: 'loopRegistry',
  context: { command: null, loops: [], image: '', holder: '', reply: null, error: null },
  initial: 'rebuilding',
  states: {
    rebuilding: {
      invoke: {
        id: 'rebuild',
        src: 'look',
        input,
        onDone: { target: 'tidying', actions: 'rebuild' },
        onError: { target: 'failed', actions: 'keepError' },
      },
    },
    tidying: {
      invoke: {
        id: 'tidy',
        src: 'tidy',
        input,
        onDone: { target: 'ready', actions: 'see' },
        onError: 'ready',
      },
    },
    ready: {
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.error }),
        },
        'rest',
      ],
      on: {
        acquire: { target: 'attaching', actions: 'begin' },
        release: [
          { guard: 'holds', target: 'releasing', actions: 'begin' },
          {
            actions: {
              type: 'answer',
              params: ({ event }) => ({ commandId: event.command.id, error: notHeld(event.body) }),
            },
          },
        ],
        leaks: { target: 'looking', actions: 'begin' },
      },
      after: { retry: { guard: 'leaking', target: 'tidying' } },
    },
    attaching: {
      invoke: {
        id: 'attach',
        src: 'attach',
        input,
        onDone: { target: 'ready', actions: 'hold' },
        onError: { target: 'undoing', actions: 'keepError' },
      },
    },
    undoing: {
      invoke: {
        id: 'undoAttach',
        src: 'tidy',
        input,
        onDone: { target: 'ready', actions: 'see' },
        onError: 'ready',
      },
    },
    releasing: {
      invoke: {
        id: 'release',
        src: 'release',
        input,
        onDone: { target: 'ready', actions: 'reportRelease' },
        onError: [
          // The holder's own device is still there: it holds the loop as before.
          { guard: 'stillUsed', target: 'ready', actions: 'keepError' },
          { target: 'ready', actions: ['keepError', 'takeOff'] },
        ],
      },
    },
    looking: {
      invoke: {
        id: 'look',
        src: 'look',
        input,
        onDone: { target: 'ready', actions: ['see', 'reportLeaks'] },
        onError: { target: 'ready', actions: 'keepError' },
      },
    },
    failed: { type: 'final' },
  },
});

function notHeld({ image, holder }: { image: string; holder: string }): ErrorRecord {
  return {
    code: 'LOOP_NOT_HELD',
    detail: `${holder} does not hold a loop device of ${image}. Nothing was changed.`,
    data: { image, holder },
  };
}

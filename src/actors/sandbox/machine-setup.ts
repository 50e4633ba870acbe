import { assign, fromPromise, setup } from 'xstate';
import type { ErrorRecord } from '../../errors/index.ts';
import type { Capture, Heading, SandboxContext, SandboxInput } from './context.ts';
import type { ResizeRequest } from './protocol.ts';
import type { SandboxStepName } from './steps/names.ts';

/** The words of the sandbox machine: its events, guards, delays and actions. `machine.ts` has the states. */

type CommandEvent<Name extends string> = {
  type: Name;
  command: { id: string; name: string; deadlineMs: number };
  body: unknown;
  atMs: number;
};

export type SandboxEvent =
  | CommandEvent<'pause'>
  | CommandEvent<'resume'>
  | CommandEvent<'restart'>
  | CommandEvent<'destroy'>
  /** A copy is to be taken into `dir`, an absolute path. Served by the host: callers say `snapshot` and `fork`. */
  | (CommandEvent<'capture'> & { body: Capture })
  | (CommandEvent<'resize'> & { body: ResizeRequest })
  | (CommandEvent<'ping'> & { body: { timeout_s?: number } })
  /** A program is run in the guest: the time until `on_timeout` begins anew. */
  | { type: 'exec'; atMs: number }
  /** The time is over. */
  | { type: 'expired'; atMs: number }
  /** The host's store is nearly full. */
  | { type: 'spaceLow'; atMs: number }
  /** The kernel gave the disk up. */
  | { type: 'diskLost'; atMs: number; error: ErrorRecord };

/** First pause between two tries of a stranded sandbox, and the longest, in milliseconds. */
const STRANDED_RETRY_MIN_MS = 1_000;
const STRANDED_RETRY_MAX_MS = 60_000;
/** When a pause by timeout failed, the next try is this much later, in milliseconds. */
export const EXPIRY_RETRY_MS = 60_000;

/** The machine only names steps; the runtime runs them. One that were run by XState itself would be a mistake. */
const logic = fromPromise<unknown, SandboxContext>(async () => {
  throw new Error('steps are run by the runtime, not by XState');
});

const types = {} as { context: SandboxContext; events: SandboxEvent; input: SandboxInput };

export const expiry = (context: SandboxContext, atMs: number): number | null =>
  context.options.timeout_s > 0 ? atMs + context.options.timeout_s * 1000 : null;

/** `onDone` of every step: what the step reports (a slot, a process) becomes part of the context. */
export const take = assign<SandboxContext, { type: string; output: unknown }, undefined, SandboxEvent, never>(
  ({ event }) => (event.output ?? {}) as Partial<SandboxContext>,
);
/** `onError` of a step that ends the operation: the reason is kept until the rollback is over. The first one counts. */
export const fail = assign<SandboxContext, { type: string; error: unknown }, undefined, SandboxEvent, never>({
  failure: ({ context, event }) => context.failure ?? (event.error as ErrorRecord),
});

const input = ({ context }: { context: SandboxContext }): SandboxContext => context;

/**
 * What a state invokes: a step, which gets the whole context. Two states that invoke the same one do so under ids of
 * their own.
 */
export function step<Name extends SandboxStepName>(
  name: Name,
): { id: string; src: Name; input: typeof input };
export function step<Name extends SandboxStepName>(
  id: string,
  name: Name,
): { id: string; src: Name; input: typeof input };
export function step(id: string, name = id as SandboxStepName) {
  return { id, src: name, input };
}

/** Answers the command that was carried out: with the error if there was one. */
export const answer = {
  type: 'answer',
  params: ({ context }: { context: SandboxContext }) => ({
    commandId: context.command?.id ?? null,
    error: context.failure,
  }),
} as const;

/** Answers a resize to less than there is: a file system that is in use cannot be cut off. */
export const refuseToShrink = {
  type: 'answer',
  params: ({ context, event }: { context: SandboxContext; event: SandboxEvent }) => {
    const { command, body } = event as SandboxEvent & { type: 'resize' };
    const [wanted, minimum] = [body.disk_size_mb, context.options.disk_size_mb];
    return { commandId: command.id, error: tooSmall(wanted, minimum) };
  },
} as const;

function tooSmall(wantedMb: number, minimumMb: number): ErrorRecord {
  return {
    code: 'INVALID_SIZE',
    detail: `The disk has ${minimumMb} MiB and cannot become smaller; ${wantedMb} MiB were asked for. Ask for more.`,
    data: { disk_size_mb: wantedMb, minimum_mb: minimumMb },
  };
}

/** Arms the timer of `on_timeout`, for a time far away when there is none. */
export const armExpiry = {
  type: 'arm',
  params: ({ context }: { context: SandboxContext }) => ({
    timer: 'expired',
    atMs: context.expiresAtMs ?? Number.MAX_SAFE_INTEGER,
    event: 'expired',
  }),
} as const;

/** Remembers where a sandbox was heading that may be stranded. */
export const heading = (to: Heading) => ({ type: 'head', params: { to } }) as const;

export const sandboxSetup = setup({
  types,
  actors: {} as Record<SandboxStepName, typeof logic>,
  delays: {
    backOff: ({ context }) =>
      Math.min(STRANDED_RETRY_MAX_MS, STRANDED_RETRY_MIN_MS * 2 ** Math.min(context.tries, 16)),
  },
  guards: {
    limited: ({ context }) => context.options.timeout_s > 0,
    withMemory: ({ context }) => context.capture?.memory === true,
    /** Asked without a body, too: whether a resize is taken at all. */
    shrinks: ({ context, event }) =>
      ((event as { body?: ResizeRequest }).body?.disk_size_mb ?? Number.POSITIVE_INFINITY) <
      context.options.disk_size_mb,
    pauseOnTimeout: ({ context }) => context.options.on_timeout === 'pause',
    /** The saved state is gone or unreadable, or its disk is: there is nothing to go on from. */
    nothingToLoad: ({ event }) =>
      ['VMM_GONE', 'SNAPSHOT_INVALID', 'DISK_LOST'].includes(
        (event as unknown as { error?: ErrorRecord }).error?.code ?? '',
      ),
    /** Another try is in vain. */
    vmmGone: ({ event }) => (event as unknown as { error?: ErrorRecord }).error?.code === 'VMM_GONE',
    /** The machine lives and there is nothing that could be loaded: stopping it would lose its memory. */
    notSaved: ({ event }) => (event as unknown as { error?: ErrorRecord }).error?.code === 'SNAPSHOT_INVALID',
    diskLost: ({ event }) => (event as unknown as { error?: ErrorRecord }).error?.code === 'DISK_LOST',
    headingPausing: ({ context }) => context.heading === 'pausing',
    headingRollingBack: ({ context }) => context.heading === 'rollingBack',
    headingUndoing: ({ context }) => context.heading === 'undoing',
    headingCrashing: ({ context }) => context.heading === 'crashing',
  },
  actions: {
    /** Answers the command that was carried out: with the error if there was one. The runtime does it. */
    answer: (_, _params: { commandId: string | null; error: ErrorRecord | null }) => {},
    /** Arms and disarms a timer with an absolute time. The runtime does it. */
    arm: (_, _params: { timer: string; atMs: number; event: string }) => {},
    disarm: (_, _params: { timer: string }) => {},
    /** Makes the record outlive a power cut before anybody is answered. The runtime does it. */
    durable: () => {},
    begin: assign(({ event }) =>
      'command' in event ? { command: event.command, failure: null } : { command: null, failure: null },
    ),
    /** Keeps where the copy goes. */
    aim: assign({ capture: ({ event }) => (event as SandboxEvent & { type: 'capture' }).body }),
    rest: assign(({ context }) => ({
      command: null,
      capture: null,
      lastError: context.failure,
      failure: null,
      heading: null,
      tries: 0,
    })),
    nextExecution: assign({ execution: ({ context }) => context.execution + 1 }),
    head: assign((_, params: { to: Heading }) => ({ heading: params.to })),
    tryAgain: assign({ tries: ({ context }) => context.tries + 1 }),
  },
});

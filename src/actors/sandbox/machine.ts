import { assign, fromPromise, setup } from 'xstate';
import type { VmExit } from '../../drivers/vmm/types.ts';
import type { ErrorRecord } from '../../errors/index.ts';
import { firstContext, type Heading, type SandboxContext, type SandboxInput } from './context.ts';
import type { sandboxStepNames } from './steps/names.ts';

/**
 * The life of a sandbox. One state per step, so that the picture of the machine is the documentation of the protocol.
 * The file has states, events and guards only; what a step does is in `steps/`, under the name that `invoke.src` says.
 *
 * Where every failure leads:
 *
 * - While it is made: everything is undone → `failed`, nothing left behind.
 * - While it is paused, before the virtual machine is stopped: the vCPUs go on → `running`.
 * - While it is paused, after that: the machine is started again from the state just written → `running`; when that
 *   fails too → `stranded`: everything is kept, and the pause is finished later.
 * - While it is resumed: the clone is thrown away → `paused`, bit for bit as it was.
 * - The virtual machine goes away by itself → `crashed`: the disk is kept, `restart` boots it again.
 */

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
  | (CommandEvent<'ping'> & { body: { timeout_s?: number } })
  /** A program is run in the guest: the time until `on_timeout` begins anew. */
  | { type: 'exec'; atMs: number }
  /** The time is over. */
  | { type: 'expired'; atMs: number };

/** First pause between two tries of a stranded sandbox, and the longest, in milliseconds. */
export const STRANDED_RETRY_MIN_MS = 1_000;
export const STRANDED_RETRY_MAX_MS = 60_000;
/** When a pause by timeout failed, the next try is this much later, in milliseconds. */
const EXPIRY_RETRY_MS = 60_000;

/** The machine only names steps; the runtime runs them. One that were run by XState itself would be a mistake. */
const step = fromPromise<unknown, SandboxContext>(async () => {
  throw new Error('steps are run by the runtime, not by XState');
});

const types = {} as { context: SandboxContext; events: SandboxEvent; input: SandboxInput };

const expiry = (context: SandboxContext, atMs: number): number | null =>
  context.options.timeout_s > 0 ? atMs + context.options.timeout_s * 1000 : null;

/** `onDone` of every step: what the step reports (a slot, a process) becomes part of the context. */
const take = assign<SandboxContext, { type: string; output: unknown }, undefined, SandboxEvent, never>(
  ({ event }) => (event.output ?? {}) as Partial<SandboxContext>,
);
/** `onError` of a step that ends the operation: the reason is kept until the rollback is over. The first one counts. */
const fail = assign<SandboxContext, { type: string; error: unknown }, undefined, SandboxEvent, never>({
  failure: ({ context, event }) => context.failure ?? (event.error as ErrorRecord),
});

const input = ({ context }: { context: SandboxContext }): SandboxContext => context;

export const sandboxMachine = setup({
  types,
  actors: {} as Record<(typeof sandboxStepNames)[number], typeof step>,
  delays: {
    backOff: ({ context }) =>
      Math.min(STRANDED_RETRY_MAX_MS, STRANDED_RETRY_MIN_MS * 2 ** Math.min(context.tries, 16)),
  },
  guards: {
    limited: ({ context }) => context.options.timeout_s > 0,
    pauseOnTimeout: ({ context }) => context.options.on_timeout === 'pause',
    /** The saved state is gone or unreadable: only the disk is left. */
    nothingToLoad: ({ event }) =>
      ['VMM_GONE', 'SNAPSHOT_INVALID'].includes(
        (event as unknown as { error?: ErrorRecord }).error?.code ?? '',
      ),
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
    begin: assign(({ event }) =>
      'command' in event ? { command: event.command, failure: null } : { command: null, failure: null },
    ),
    rest: assign(({ context }) => ({
      command: null,
      lastError: context.failure,
      failure: null,
      heading: null,
      tries: 0,
    })),
    nextExecution: assign({ execution: ({ context }) => context.execution + 1 }),
    head: assign((_, params: { to: Heading }) => ({ heading: params.to })),
    tryAgain: assign({ tries: ({ context }) => context.tries + 1 }),
  },
}).createMachine({
  id: 'sandbox',
  context: ({ input }) => firstContext(input),
  initial: 'creating',
  states: {
    creating: {
      initial: 'disk',
      states: {
        disk: {
          invoke: {
            id: 'makeDisk',
            src: 'makeDisk',
            input,
            onDone: { target: 'network', actions: take },
            onError: { target: '#sandbox.undoing', actions: fail },
          },
        },
        network: {
          invoke: {
            id: 'acquireSlot',
            src: 'acquireSlot',
            input,
            onDone: { target: 'vm', actions: take },
            onError: { target: '#sandbox.undoing', actions: fail },
          },
        },
        vm: {
          invoke: {
            id: 'launchVm',
            src: 'launchVm',
            input,
            onDone: { target: 'ready', actions: take },
            onError: { target: '#sandbox.undoing', actions: fail },
          },
        },
        ready: {
          invoke: {
            id: 'welcomeGuest',
            src: 'welcomeGuest',
            input,
            onDone: { target: '#sandbox.running', actions: take },
            onError: { target: '#sandbox.undoing', actions: fail },
          },
        },
      },
    },

    running: {
      tags: ['serving', 'rest'],
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
        },
        assign(({ context, event }) => {
          const atMs = (event as { atMs?: number }).atMs ?? 0;
          // A pause by timeout that failed is tried again later, never followed by a destroy.
          const soonest = context.failure ? atMs + EXPIRY_RETRY_MS : 0;
          const at = expiry(context, atMs);
          return { expiresAtMs: at === null ? null : Math.max(at, soonest) };
        }),
        'rest',
        {
          type: 'arm',
          params: ({ context }) => ({
            timer: 'expired',
            atMs: context.expiresAtMs ?? Number.MAX_SAFE_INTEGER,
            event: 'expired',
          }),
        },
      ],
      exit: [{ type: 'disarm', params: { timer: 'expired' } }, assign({ expiresAtMs: null })],
      // Lasts as long as the state. After a restart of the agent it is what adopts the virtual machine.
      invoke: {
        id: 'watchVm',
        src: 'watchVm',
        input,
        onDone: {
          target: 'crashed',
          actions: [
            assign({ failure: ({ event }) => crash(event.output as VmExit) }),
            { type: 'head', params: { to: 'crashing' } },
          ],
        },
        onError: { target: 'crashed', actions: [fail, { type: 'head', params: { to: 'crashing' } }] },
      },
      on: {
        pause: { target: 'pausing', actions: 'begin' },
        restart: { target: 'restarting', actions: 'begin' },
        destroy: { target: 'destroying', actions: 'begin' },
        ping: {
          actions: [
            assign(({ context, event }) => {
              const options = {
                ...context.options,
                timeout_s: event.body.timeout_s ?? context.options.timeout_s,
              };
              return { options, expiresAtMs: expiry({ ...context, options }, event.atMs) };
            }),
            {
              type: 'arm',
              params: ({ context }) => ({
                timer: 'expired',
                atMs: context.expiresAtMs ?? Number.MAX_SAFE_INTEGER,
                event: 'expired',
              }),
            },
            { type: 'answer', params: ({ event }) => ({ commandId: event.command.id, error: null }) },
          ],
        },
        exec: [
          {
            guard: 'limited',
            actions: [
              assign({ expiresAtMs: ({ context, event }) => expiry(context, event.atMs) }),
              {
                type: 'arm',
                params: ({ context }) => ({
                  timer: 'expired',
                  atMs: context.expiresAtMs ?? Number.MAX_SAFE_INTEGER,
                  event: 'expired',
                }),
              },
            ],
          },
        ],
        expired: [
          { guard: 'pauseOnTimeout', target: 'pausing', actions: 'begin' },
          { target: 'destroying', actions: 'begin' },
        ],
      },
    },

    pausing: {
      initial: 'draining',
      states: {
        // Best effort: what does not drain in time is cut.
        draining: { invoke: { id: 'drain', src: 'drain', input, onDone: 'freezing', onError: 'freezing' } },
        // A freeze that timed out may have worked all the same, so the way back is the thaw, not `running`.
        freezing: {
          invoke: {
            id: 'freezeVcpus',
            src: 'freezeVcpus',
            input,
            onDone: 'snapshotting',
            onError: { target: 'thawing', actions: fail },
          },
        },
        snapshotting: {
          invoke: {
            id: 'saveVm',
            src: 'saveVm',
            input,
            onDone: 'stoppingVm',
            onError: { target: 'thawing', actions: fail },
          },
        },
        thawing: {
          invoke: {
            id: 'thawVcpus',
            src: 'thawVcpus',
            input,
            onDone: { target: '#sandbox.running', actions: take },
            onError: { target: '#sandbox.crashed', actions: { type: 'head', params: { to: 'crashing' } } },
          },
        },
        stoppingVm: {
          invoke: {
            id: 'stopVm',
            src: 'stopVm',
            input,
            onDone: { target: 'detachingDisk', actions: take },
            onError: {
              target: '#sandbox.stranded',
              actions: [fail, { type: 'head', params: { to: 'pausing' } }],
            },
          },
        },
        detachingDisk: {
          invoke: {
            id: 'detachDisk',
            src: 'detachDisk',
            input,
            onDone: { target: 'committing', actions: take },
            onError: { target: 'restarting', actions: fail },
          },
        },
        committing: {
          invoke: {
            id: 'commitSnapshot',
            src: 'commitSnapshot',
            input,
            onDone: { target: 'releasing', actions: take },
            onError: { target: 'restarting', actions: fail },
          },
        },
        restarting: {
          invoke: {
            id: 'relaunchVm',
            src: 'relaunchVm',
            input,
            onDone: { target: '#sandbox.running', actions: take },
            onError: [
              {
                guard: 'nothingToLoad',
                target: '#sandbox.crashed',
                actions: { type: 'head', params: { to: 'crashing' } },
              },
              { target: '#sandbox.stranded', actions: { type: 'head', params: { to: 'pausing' } } },
            ],
          },
        },
        // The sandbox is paused; a slot that could not be given back stays in the ledger, for the janitor.
        releasing: {
          invoke: {
            id: 'releaseSlot',
            src: 'releaseSlot',
            input,
            onDone: { target: '#sandbox.paused', actions: take },
            onError: '#sandbox.paused',
          },
        },
      },
    },

    paused: {
      tags: ['rest'],
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
        },
        'rest',
      ],
      // Writes the memory file back to the disk while nobody waits: the next clone need not, and a power cut cannot take it.
      invoke: { id: 'flushSnapshot', src: 'flushSnapshot', input },
      on: {
        resume: { target: 'resuming', actions: 'begin' },
        destroy: { target: 'destroying', actions: 'begin' },
      },
    },

    resuming: {
      initial: 'cloning',
      states: {
        cloning: {
          invoke: {
            id: 'cloneSnapshot',
            src: 'cloneSnapshot',
            input,
            onDone: { target: 'disk', actions: take },
            onError: { target: 'rollingBack', actions: fail },
          },
        },
        disk: {
          invoke: {
            id: 'attachDisk',
            src: 'attachDisk',
            input,
            onDone: { target: 'network', actions: take },
            onError: { target: 'rollingBack', actions: fail },
          },
        },
        network: {
          invoke: {
            id: 'resumeSlot',
            src: 'acquireSlot',
            input,
            onDone: { target: 'vm', actions: take },
            onError: { target: 'rollingBack', actions: fail },
          },
        },
        vm: {
          invoke: {
            id: 'restoreVm',
            src: 'restoreVm',
            input,
            onDone: { target: 'ready', actions: take },
            onError: { target: 'rollingBack', actions: fail },
          },
        },
        ready: {
          invoke: {
            id: 'wakeGuest',
            src: 'wakeGuest',
            input,
            onDone: { target: 'discarding', actions: take },
            onError: { target: 'rollingBack', actions: fail },
          },
        },
        // From here there is no way back: the guest runs and answers. What cannot be deleted is left to the janitor.
        discarding: {
          entry: 'nextExecution',
          invoke: {
            id: 'discardSnapshot',
            src: 'discardSnapshot',
            input,
            onDone: { target: '#sandbox.running', actions: take },
            onError: '#sandbox.running',
          },
        },
        rollingBack: {
          invoke: {
            id: 'rollBackResume',
            src: 'rollBackResume',
            input,
            onDone: { target: '#sandbox.paused', actions: take },
            onError: {
              target: '#sandbox.stranded',
              actions: { type: 'head', params: { to: 'rollingBack' } },
            },
          },
        },
      },
    },

    restarting: {
      initial: 'stoppingVm',
      states: {
        stoppingVm: {
          invoke: {
            id: 'haltVm',
            src: 'stopVm',
            input,
            onDone: { target: 'disk', actions: take },
            onError: {
              target: '#sandbox.crashed',
              actions: [fail, { type: 'head', params: { to: 'crashing' } }],
            },
          },
        },
        disk: {
          invoke: {
            id: 'reattachDisk',
            src: 'attachDisk',
            input,
            onDone: { target: 'network', actions: take },
            onError: {
              target: '#sandbox.crashed',
              actions: [fail, { type: 'head', params: { to: 'crashing' } }],
            },
          },
        },
        network: {
          invoke: {
            id: 'restartSlot',
            src: 'acquireSlot',
            input,
            onDone: { target: 'vm', actions: take },
            onError: {
              target: '#sandbox.crashed',
              actions: [fail, { type: 'head', params: { to: 'crashing' } }],
            },
          },
        },
        vm: {
          entry: 'nextExecution',
          invoke: {
            id: 'bootVm',
            src: 'bootVm',
            input,
            onDone: { target: 'ready', actions: take },
            onError: {
              target: '#sandbox.crashed',
              actions: [fail, { type: 'head', params: { to: 'crashing' } }],
            },
          },
        },
        ready: {
          invoke: {
            id: 'greetGuest',
            src: 'greetGuest',
            input,
            onDone: { target: '#sandbox.running', actions: take },
            onError: {
              target: '#sandbox.crashed',
              actions: [fail, { type: 'head', params: { to: 'crashing' } }],
            },
          },
        },
      },
    },

    crashed: {
      initial: 'cleaning',
      states: {
        cleaning: {
          invoke: {
            id: 'clearWreck',
            src: 'clearWreck',
            input,
            onDone: { target: 'resting', actions: take },
            onError: { target: '#sandbox.stranded', actions: { type: 'head', params: { to: 'crashing' } } },
          },
        },
        resting: {
          tags: ['rest'],
          entry: [
            {
              type: 'answer',
              params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
            },
            'rest',
          ],
          on: {
            restart: { target: '#sandbox.restarting', actions: 'begin' },
            destroy: { target: '#sandbox.destroying', actions: 'begin' },
          },
        },
      },
    },

    undoing: {
      invoke: {
        id: 'undoCreate',
        src: 'releaseAll',
        input,
        onDone: { target: 'failed', actions: take },
        onError: { target: 'stranded', actions: { type: 'head', params: { to: 'undoing' } } },
      },
    },

    destroying: {
      invoke: {
        id: 'releaseAll',
        src: 'releaseAll',
        input,
        onDone: { target: 'destroyed', actions: take },
        onError: { target: 'stranded', actions: [fail, { type: 'head', params: { to: 'destroying' } }] },
      },
    },

    stranded: {
      // Everything is kept and still counted. The caller is told now; the tries go on without it.
      tags: ['rest'],
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
        },
        assign(({ context }) => ({ command: null, lastError: context.failure ?? context.lastError })),
      ],
      after: {
        backOff: [
          { guard: 'headingPausing', target: 'pausing.stoppingVm', actions: 'tryAgain' },
          { guard: 'headingRollingBack', target: 'resuming.rollingBack', actions: 'tryAgain' },
          { guard: 'headingUndoing', target: 'undoing', actions: 'tryAgain' },
          { guard: 'headingCrashing', target: 'crashed', actions: 'tryAgain' },
          { target: 'destroying', actions: 'tryAgain' },
        ],
      },
      on: { destroy: { target: 'destroying', actions: 'begin' } },
    },

    failed: {
      type: 'final',
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: context.failure }),
        },
        'rest',
      ],
    },
    destroyed: {
      type: 'final',
      entry: [
        {
          type: 'answer',
          params: ({ context }) => ({ commandId: context.command?.id ?? null, error: null }),
        },
        'rest',
      ],
    },
  },
});

function crash(exit: VmExit): ErrorRecord {
  return {
    code: 'VMM_GONE',
    detail: `The virtual machine ended by itself (${exit.reason}): ${exit.detail}. Its disk is kept; restart boots it again.`,
  };
}

import { assign } from 'xstate';
import type { VmExit } from '../../drivers/vmm/types.ts';
import type { ErrorRecord } from '../../errors/index.ts';
import { firstContext } from './context.ts';
import {
  answer,
  armExpiry,
  EXPIRY_RETRY_MS,
  expiry,
  fail,
  heading,
  refuseToShrink,
  sandboxSetup,
  step,
  take,
} from './machine-setup.ts';

/** Ways out of a failed step that several states share. */
const toUndoing = { target: '#sandbox.undoing', actions: fail };
const toRollback = { target: 'rollingBack', actions: fail };
const toCrashed = { target: '#sandbox.crashed', actions: [fail, heading('crashing')] };

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
 * - While it is copied: the vCPUs go on → `running`, or it is `paused` as before; the copy is removed.
 * - The virtual machine goes away by itself → `crashed`: the disk is kept, `restart` boots it again.
 */
export const sandboxMachine = sandboxSetup.createMachine({
  id: 'sandbox',
  context: ({ input }) => firstContext(input),
  initial: 'creating',
  states: {
    creating: {
      initial: 'disk',
      states: {
        disk: {
          invoke: {
            ...step('makeDisk'),
            onDone: { target: 'network', actions: take },
            onError: toUndoing,
          },
        },
        network: {
          invoke: {
            ...step('acquireSlot'),
            onDone: { target: 'vm', actions: take },
            onError: toUndoing,
          },
        },
        vm: {
          invoke: {
            ...step('launchVm'),
            onDone: { target: 'ready', actions: take },
            onError: toUndoing,
          },
        },
        ready: {
          invoke: {
            ...step('welcomeGuest'),
            // Who was told that there is a sandbox, and wrote to its disk, must find it after a power cut.
            onDone: { target: '#sandbox.running', actions: [take, 'durable'] },
            onError: toUndoing,
          },
        },
      },
    },

    running: {
      tags: ['serving', 'rest'],
      entry: [
        answer,
        assign(({ context, event }) => {
          const atMs = (event as { atMs?: number }).atMs ?? 0;
          // A pause by timeout that failed is tried again later, never followed by a destroy.
          const soonest = context.failure ? atMs + EXPIRY_RETRY_MS : 0;
          const at = expiry(context, atMs);
          return { expiresAtMs: at === null ? null : Math.max(at, soonest) };
        }),
        'rest',
        armExpiry,
      ],
      exit: [{ type: 'disarm', params: { timer: 'expired' } }, assign({ expiresAtMs: null })],
      // Lasts as long as the state. After a restart of the agent it is what adopts the virtual machine.
      invoke: {
        ...step('watchVm'),
        onDone: {
          target: 'crashed',
          actions: [assign({ failure: ({ event }) => crash(event.output as VmExit) }), heading('crashing')],
        },
        onError: { target: 'crashed', actions: [fail, heading('crashing')] },
      },
      on: {
        pause: { target: 'pausing', actions: 'begin' },
        capture: { target: 'capturing', actions: ['begin', 'aim'] },
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
            armExpiry,
            { type: 'answer', params: ({ event }) => ({ commandId: event.command.id, error: null }) },
          ],
        },
        exec: [
          {
            guard: 'limited',
            actions: [
              assign({ expiresAtMs: ({ context, event }) => expiry(context, event.atMs) }),
              armExpiry,
            ],
          },
        ],
        // A file system that is full ruins a disk; a paused sandbox takes nothing more.
        spaceLow: { target: 'pausing', actions: 'begin' },
        diskLost: {
          target: 'crashed',
          actions: [assign({ failure: ({ event }) => event.error }), heading('crashing')],
        },
        expired: [
          { guard: 'pauseOnTimeout', target: 'pausing', actions: 'begin' },
          { target: 'destroying', actions: 'begin' },
        ],
      },
    },

    // A copy of the sandbox, for a fork or a template. The vCPUs stand still from `freezing` to `thawing`: nothing slow is in between.
    capturing: {
      initial: 'settling',
      states: {
        // Best effort: what is written before the freeze need not be written in it.
        settling: {
          tags: ['servingSoon'],
          invoke: { ...step('settleGuest'), onDone: 'freezing', onError: 'freezing' },
        },
        // As in a pause: one that timed out may have worked all the same.
        freezing: {
          tags: ['servingSoon'],
          invoke: {
            ...step('freezeForCapture', 'freezeVcpus'),
            onDone: [{ guard: 'withMemory', target: 'saving' }, 'copying'],
            onError: { target: 'thawing', actions: fail },
          },
        },
        saving: {
          tags: ['servingSoon'],
          invoke: {
            ...step('saveForCapture', 'saveVm'),
            onDone: 'copying',
            onError: { target: 'thawing', actions: fail },
          },
        },
        copying: {
          tags: ['servingSoon'],
          invoke: {
            ...step('captureLive'),
            onDone: 'thawing',
            onError: { target: 'thawing', actions: fail },
          },
        },
        thawing: {
          tags: ['servingSoon'],
          invoke: {
            ...step('thawCaptured', 'thawVcpus'),
            onDone: { target: 'settingClock', actions: take },
            onError: [
              { guard: 'vmmGone', target: '#sandbox.crashed', actions: [fail, heading('crashing')] },
              'thawingAgain',
            ],
          },
        },
        thawingAgain: {
          tags: ['servingSoon'],
          invoke: {
            ...step('thawCapturedAgain', 'thawVcpus'),
            onDone: { target: 'settingClock', actions: take },
            onError: { target: '#sandbox.crashed', actions: [fail, heading('crashing')] },
          },
        },
        // Best effort: the guest's clock has stood still as long as its vCPUs.
        settingClock: {
          tags: ['servingSoon'],
          invoke: { ...step('setClock'), onDone: '#sandbox.running', onError: '#sandbox.running' },
        },
        // Of a paused sandbox, whose machine is not there.
        copyingPaused: {
          invoke: {
            ...step('captureSnapshot'),
            onDone: '#sandbox.paused',
            onError: { target: '#sandbox.paused', actions: fail },
          },
        },
      },
    },

    pausing: {
      initial: 'draining',
      states: {
        // Best effort: what does not drain in time is cut.
        draining: { invoke: { ...step('drain'), onDone: 'freezing', onError: 'freezing' } },
        // A freeze that timed out may have worked all the same, so the way back is the thaw, not `running`.
        freezing: {
          invoke: {
            ...step('freezeVcpus'),
            onDone: 'snapshotting',
            onError: { target: 'thawing', actions: fail },
          },
        },
        snapshotting: {
          invoke: {
            ...step('saveVm'),
            onDone: 'stoppingVm',
            onError: { target: 'thawing', actions: fail },
          },
        },
        thawing: {
          invoke: {
            ...step('thawVcpus'),
            onDone: { target: '#sandbox.running', actions: take },
            onError: [
              { guard: 'vmmGone', target: '#sandbox.crashed', actions: heading('crashing') },
              'thawingAgain',
            ],
          },
        },
        // It may have worked, and only its report was lost: doing it again finds that out.
        thawingAgain: {
          invoke: {
            ...step('thawAgain', 'thawVcpus'),
            onDone: { target: '#sandbox.running', actions: take },
            onError: { target: '#sandbox.crashed', actions: heading('crashing') },
          },
        },
        stoppingVm: {
          invoke: {
            ...step('retireVm'),
            onDone: { target: 'detachingDisk', actions: take },
            onError: [
              // The rollback of an earlier try had let it run again, and could not say so.
              { guard: 'notSaved', target: 'restarting', actions: fail },
              { target: '#sandbox.stranded', actions: [fail, heading('pausing')] },
            ],
          },
        },
        detachingDisk: {
          invoke: {
            ...step('detachDisk'),
            onDone: { target: 'committing', actions: take },
            onError: [
              { guard: 'diskLost', ...toCrashed },
              { target: 'restarting', actions: fail },
            ],
          },
        },
        // What follows must not be undone by a power cut that takes the note of it: hence `durable`, here and below.
        committing: {
          tags: ['durable'],
          invoke: {
            ...step('commitSnapshot'),
            onDone: { target: 'releasing', actions: take },
            onError: { target: 'restarting', actions: fail },
          },
        },
        restarting: {
          invoke: {
            ...step('relaunchVm'),
            onDone: { target: '#sandbox.running', actions: take },
            onError: [
              {
                guard: 'nothingToLoad',
                target: '#sandbox.crashed',
                actions: heading('crashing'),
              },
              { target: '#sandbox.stranded', actions: heading('pausing') },
            ],
          },
        },
        // The sandbox is paused; a slot that could not be given back stays in the ledger, for the janitor.
        releasing: {
          invoke: {
            ...step('releaseSlot'),
            onDone: { target: '#sandbox.paused', actions: take },
            onError: '#sandbox.paused',
          },
        },
      },
    },

    paused: {
      tags: ['rest'],
      entry: [answer, 'rest'],
      // Writes the memory file back to the disk while nobody waits: the next clone need not, and a power cut cannot take it.
      invoke: { ...step('flushSnapshot') },
      on: {
        resume: { target: 'resuming', actions: 'begin' },
        capture: { target: 'capturing.copyingPaused', actions: ['begin', 'aim'] },
        // The disk itself grows with the next clone, or restart: a snapshot is not written to.
        resize: [
          { guard: 'shrinks', actions: refuseToShrink },
          {
            actions: [
              assign({
                options: ({ context, event }) => ({
                  ...context.options,
                  disk_size_mb: event.body.disk_size_mb,
                }),
              }),
              'durable',
              { type: 'answer', params: ({ event }) => ({ commandId: event.command.id, error: null }) },
            ],
          },
        ],
        // For a memory that cannot be loaded, or is not wanted any more: the disk is what is left.
        restart: { target: 'restarting.forgetting', actions: 'begin' },
        destroy: { target: 'destroying', actions: 'begin' },
      },
    },

    resuming: {
      initial: 'cloning',
      states: {
        cloning: {
          invoke: {
            ...step('cloneSnapshot'),
            onDone: { target: 'disk', actions: take },
            onError: toRollback,
          },
        },
        disk: {
          invoke: {
            ...step('attachDisk'),
            onDone: { target: 'network', actions: take },
            onError: toRollback,
          },
        },
        network: {
          invoke: {
            ...step('resumeSlot', 'acquireSlot'),
            onDone: { target: 'vm', actions: take },
            onError: toRollback,
          },
        },
        vm: {
          invoke: {
            ...step('restoreVm'),
            onDone: { target: 'ready', actions: take },
            onError: toRollback,
          },
        },
        ready: {
          invoke: {
            ...step('wakeGuest'),
            onDone: { target: 'discarding', actions: take },
            onError: toRollback,
          },
        },
        // From here there is no way back: the guest runs and answers. What cannot be deleted is left to the janitor.
        discarding: {
          tags: ['durable'],
          entry: 'nextExecution',
          invoke: {
            ...step('discardSnapshot'),
            onDone: { target: '#sandbox.running', actions: take },
            onError: '#sandbox.running',
          },
        },
        rollingBack: {
          invoke: {
            ...step('rollBackResume'),
            onDone: { target: '#sandbox.paused', actions: take },
            onError: {
              target: '#sandbox.stranded',
              actions: heading('rollingBack'),
            },
          },
        },
      },
    },

    restarting: {
      initial: 'stoppingVm',
      states: {
        // From a pause: the saved memory is given up, and the disk of the snapshot is the live one again.
        forgetting: {
          tags: ['durable'],
          invoke: {
            ...step('forgetMemory'),
            onDone: { target: 'stoppingVm', actions: take },
            onError: { target: '#sandbox.paused', actions: fail },
          },
        },
        stoppingVm: {
          invoke: {
            ...step('haltVm', 'stopVm'),
            onDone: { target: 'disk', actions: take },
            onError: toCrashed,
          },
        },
        disk: {
          invoke: {
            ...step('reattachDisk', 'attachDisk'),
            onDone: { target: 'network', actions: take },
            onError: toCrashed,
          },
        },
        network: {
          invoke: {
            ...step('restartSlot', 'acquireSlot'),
            onDone: { target: 'vm', actions: take },
            onError: toCrashed,
          },
        },
        vm: {
          entry: 'nextExecution',
          invoke: {
            ...step('bootVm'),
            onDone: { target: 'ready', actions: take },
            onError: toCrashed,
          },
        },
        ready: {
          invoke: {
            ...step('greetGuest'),
            onDone: { target: '#sandbox.running', actions: take },
            onError: toCrashed,
          },
        },
      },
    },

    crashed: {
      initial: 'cleaning',
      states: {
        cleaning: {
          invoke: {
            ...step('clearWreck'),
            onDone: { target: 'resting', actions: take },
            onError: { target: '#sandbox.stranded', actions: heading('crashing') },
          },
        },
        resting: {
          tags: ['rest'],
          entry: [answer, 'rest'],
          on: {
            restart: { target: '#sandbox.restarting', actions: 'begin' },
            destroy: { target: '#sandbox.destroying', actions: 'begin' },
          },
        },
      },
    },

    undoing: {
      tags: ['durable'],
      invoke: {
        ...step('undoCreate', 'releaseAll'),
        onDone: { target: 'failed', actions: take },
        onError: { target: 'stranded', actions: heading('undoing') },
      },
    },

    destroying: {
      tags: ['durable'],
      invoke: {
        ...step('releaseAll'),
        onDone: { target: 'destroyed', actions: take },
        onError: { target: 'stranded', actions: [fail, heading('destroying')] },
      },
    },

    stranded: {
      // Everything is kept and still counted. The caller is told now; the tries go on without it.
      tags: ['rest'],
      entry: [
        answer,
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
      entry: [answer, 'rest'],
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

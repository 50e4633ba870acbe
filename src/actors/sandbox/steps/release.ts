import type { StepEnvironment } from '../../system/step.ts';
import { LEDGER_KINDS, type LedgerKind, type SandboxContext } from '../context.ts';
import type { SandboxDrivers, SandboxStep } from '../drivers.ts';

/** How each kind of resource is given back. Tolerates that it half-happened or never did. */
export type Undo = (context: SandboxContext, signal: AbortSignal) => Promise<void>;

/** What a released resource was in the context. */
const forgotten: Record<LedgerKind, Partial<SandboxContext>> = {
  live: {},
  disk: { diskPath: null },
  slot: { slot: null },
  vmm: { vm: null },
  snapshot: {},
};

/**
 * The steps that give back several resources at once, last acquired first. An undo that fails ends the step; what was
 * released before it is off the ledger already, so the next try goes on from there.
 */
export function releaseSteps({ sessions }: SandboxDrivers, undo: Record<LedgerKind, Undo>) {
  const release = async (
    context: SandboxContext,
    { ledger, released, signal }: StepEnvironment<LedgerKind>,
    kinds: readonly LedgerKind[],
  ): Promise<Partial<SandboxContext>> => {
    sessions.cut(context.id);
    let patch: Partial<SandboxContext> = {};
    for (const { kind } of ledger.filter((entry) => kinds.includes(entry.kind)).reverse()) {
      // One that was given up is begun again: the two must not be at the same resource.
      signal.throwIfAborted();
      await undo[kind](context, signal);
      await released(kind);
      patch = { ...patch, ...forgotten[kind] };
    }
    return patch;
  };

  /** Everything: the sandbox ends. */
  const releaseAll: SandboxStep = {
    name: 'releaseAll',
    direction: 'undo',
    timeoutMs: 60_000,
    run: (context, environment) => release(context, environment, LEDGER_KINDS),
  };

  /** Rolls a resume back: `snapshot/` is what the sandbox is. */
  const rollBackResume: SandboxStep = {
    name: 'rollBackResume',
    direction: 'undo',
    timeoutMs: 60_000,
    run: (context, environment) => release(context, environment, ['vmm', 'slot', 'disk', 'live']),
  };

  /** After the machine is gone: all but the disk's files. */
  const clearWreck: SandboxStep = {
    name: 'clearWreck',
    direction: 'undo',
    timeoutMs: 60_000,
    run: (context, environment) => release(context, environment, ['vmm', 'slot', 'disk']),
  };

  return { releaseAll, rollBackResume, clearWreck };
}

import type { AnyMachineSnapshot } from 'xstate';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { sandboxMachine } from '../../../src/actors/sandbox/machine.ts';
import {
  activeSteps,
  begin,
  decide,
  type Effect,
  stateName,
  stepDone,
  stepFailed,
} from '../../../src/actors/system/decide.ts';
import { sandboxInput } from './support.ts';

const input = sandboxInput();
/** What a step fails with in a walk. */
export const error = { code: 'STEP_FAILED', detail: 'it failed' } as const;

/** A command for a copy, with memory. */
export const CAPTURE = {
  command: { id: 'c-capture', name: 'capture', deadlineMs: 1 },
  body: { dir: '/host/captures/k-1', memory: true },
};

/** Walks the machine: the name of an event of its own, `ok` or `fail` for the step that the state invokes. */
export class Walk {
  snapshot: AnyMachineSnapshot;
  effects: Effect[] = [];
  constructor(overrides: Partial<SandboxContext['options']> = {}) {
    const first = begin(sandboxMachine, { ...input, options: { ...input.options, ...overrides } });
    this.snapshot = first.snapshot;
    this.effects = first.effects;
  }
  get state(): string {
    return stateName(this.snapshot.value);
  }
  get context(): SandboxContext {
    return this.snapshot.context as SandboxContext;
  }
  go(...moves: Array<string | { type: string; [key: string]: unknown }>): this {
    for (const move of moves) {
      const event = this.#event(move);
      if (!this.snapshot.can(event as never)) throw new Error(`${this.state} does not take ${event.type}`);
      const next = decide(sandboxMachine, this.snapshot, { atMs: 1000, ...event } as never);
      this.snapshot = next.snapshot;
      this.effects = next.effects;
    }
    return this;
  }
  #event(move: string | { type: string }): { type: string } {
    if (typeof move !== 'string') return move;
    const step = activeSteps(this.snapshot)[0];
    if (move === 'ok' && step) return stepDone(step.invokeId, {});
    if (move === 'fail' && step) return stepFailed(step.invokeId, error);
    if (move === 'backOff') return { type: 'xstate.after.backOff.sandbox.stranded' };
    return { type: move, command: { id: `c-${move}`, name: move, deadlineMs: 1 }, body: {} } as {
      type: string;
    };
  }
  /** The steps that the last transition begins. */
  get begins(): string[] {
    return this.effects.flatMap((effect) => (effect.kind === 'start' ? [effect.step] : []));
  }
  /** Fails the step that the state invokes with an error of this code. */
  failWith(code: string): this {
    const step = activeSteps(this.snapshot)[0];
    return this.go(stepFailed(step?.invokeId ?? '', { code, detail: 'it failed' }));
  }
  /** How the last transition answers: the command, and the error's code. */
  get answer(): [unknown, unknown] | undefined {
    const found = this.effects.find(
      (effect) => effect.kind === 'act' && effect.type === 'answer' && effect.params.commandId !== null,
    );
    if (found?.kind !== 'act') return undefined;
    return [found.params.commandId, (found.params.error as { code: string } | null)?.code ?? null];
  }
}

/** Walks that begin at rest. */
export const running = (overrides = {}) => new Walk(overrides).go('ok', 'ok', 'ok', 'ok');
export const paused = () => running().go('pause', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok');

import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { sandboxContext } from '../sandbox/support.ts';

/** A sandbox that is a state and a context, for what the host does with sandboxes. */
export interface FakeSandbox {
  sandbox: Sandbox;
  /** Commands that it was told. */
  told: Array<{ name: string; body: unknown }>;
  become(state: string): void;
}

export function fakeSandbox(
  changes: Partial<SandboxContext> = {},
  {
    state = 'running',
    onCommand = async (_name: string, _body: unknown): Promise<void> => {},
    created = Promise.resolve() as Promise<unknown>,
  } = {},
): FakeSandbox {
  const context: SandboxContext = { ...sandboxContext(changes), command: null };
  const told: FakeSandbox['told'] = [];
  const watchers = new Set<() => void>();
  const actor = {
    state,
    get isDone() {
      return /^(failed|destroyed)$/.test(this.state);
    },
    hasTag: (tag: string) => tag === 'rest' && /^(running|paused|crashed)$/.test(actor.state),
    context,
    outcome: () => created,
    until: (reached: () => boolean, signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => void (reached() && resolve());
        signal.addEventListener('abort', () => reject(signal.reason));
        watchers.add(look);
        look();
      }),
  };
  const sandbox = {
    id: context.id,
    context,
    actor,
    view: () => ({ id: context.id, state: actor.state }),
    async command(name: string, body: unknown, _context: CommandContext) {
      told.push({ name, body });
      await onCommand(name, body);
    },
    // Only what the host asks it.
  } as unknown as Sandbox;
  const become = (next: string): void => {
    actor.state = next;
    for (const look of watchers) look();
  };
  return { sandbox, told, become };
}

export function commandContext(changes: Partial<CommandContext> = {}): CommandContext {
  return { commandId: 'c-test', deadlineMs: 1_000_000, signal: new AbortController().signal, ...changes };
}

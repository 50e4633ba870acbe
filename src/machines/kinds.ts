import type { AnyStateMachine } from 'xstate';
import { hostMachine } from '../actors/host/machine.ts';
import { loopRegistryMachine } from '../actors/loop-registry/machine.ts';
import { sandboxMachine } from '../actors/sandbox/machine.ts';
import { ACTOR_KINDS, type ActorKind } from '../actors/system/inspection.ts';
import { DormouseError } from '../errors/index.ts';

/** The machines there are, with what a machine does not say of itself. */

export interface Kind {
  kind: ActorKind;
  /** For people. */
  title: string;
  machine: AnyStateMachine;
  /** Events that callers send. The others are the actor's own. */
  commands: readonly string[];
  /** Events that a timer delivers which the machine arms by an action. */
  timers: readonly string[];
  /** Events that tell of a failure. */
  mishaps: readonly string[];
  /** What callers say for a command that is not theirs. */
  words: Readonly<Record<string, string>>;
}

const none = { timers: [], mishaps: [], words: {} } as const;

const KINDS: Readonly<Record<ActorKind, Omit<Kind, 'kind'>>> = {
  sandbox: {
    title: 'Sandbox',
    machine: sandboxMachine,
    commands: ['pause', 'resume', 'restart', 'resize', 'ping', 'destroy', 'capture'],
    timers: ['expired'],
    mishaps: ['diskLost'],
    words: { capture: 'snapshot, fork' },
  },
  host: { ...none, title: 'Host', machine: hostMachine, commands: ['drain'] },
  'loop-registry': {
    ...none,
    title: 'Loop registry',
    machine: loopRegistryMachine,
    commands: ['acquire', 'release', 'leaks'],
  },
};

/** All kinds, in the order in which they are shown. */
export const kinds: readonly Kind[] = ACTOR_KINDS.map((kind) => ({ kind, ...KINDS[kind] }));

/**
 * The kind of that name.
 *
 * @throws `MACHINE_NOT_FOUND`
 */
export function kindOf(name: string): Kind {
  const found = kinds.find(({ kind }) => kind === name);
  if (found) return found;
  throw new DormouseError(
    'MACHINE_NOT_FOUND',
    `There is no machine of this name. There are ${kinds.map(({ kind }) => kind).join(', ')}.`,
  );
}

import type { SandboxView } from '../../src/actors/sandbox/protocol.ts';

/** What clients asked for and what they were told. */

export type Verb =
  | 'create'
  | 'pause'
  | 'resume'
  | 'restart'
  | 'destroy'
  | 'ping'
  | 'resize'
  | 'copy'
  | 'write'
  | 'read';

export interface Operation {
  client: string;
  verb: Verb;
  /** Unknown until a create was answered. */
  sandboxId: string;
  /** The number that is written. */
  value: number | undefined;
  /** When, as `World.moment` counts. */
  began: number;
  /** Infinity for one whose outcome is not known: it may still happen. */
  ended: number;
  /** Its code when it failed; undefined when it succeeded or nobody knows. */
  error: string | undefined;
  succeeded: boolean;
  /** What it was answered with. */
  view: SandboxView | undefined;
  read: { memory: number; disk: number } | undefined;
}

export class History {
  readonly operations: Operation[] = [];

  begin(client: string, verb: Verb, sandboxId: string, began: number, value?: number): Operation {
    const operation: Operation = {
      client,
      verb,
      sandboxId,
      value,
      began,
      ended: Number.POSITIVE_INFINITY,
      error: undefined,
      succeeded: false,
      view: undefined,
      read: undefined,
    };
    this.operations.push(operation);
    return operation;
  }

  of(sandboxId: string): Operation[] {
    return this.operations.filter((operation) => operation.sandboxId === sandboxId);
  }

  /** A message came a second time, later: what was refused at first may have been done then. */
  openRefusals(): void {
    for (const operation of this.operations)
      if (!operation.succeeded) operation.ended = Number.POSITIVE_INFINITY;
  }

  /** Ids of the sandboxes that clients know of. */
  sandboxes(): string[] {
    return [...new Set(this.operations.map(({ sandboxId }) => sandboxId))].filter(Boolean);
  }
}

/**
 * Whether a number can be what is read now: it was written, and no write that was answered with success began after it had
 * ended. One whose outcome nobody knows may have happened at any time since.
 *
 * @param since what was written before that is lost; 0 is what is there then
 */
export function mayBeRead(writes: readonly Operation[], value: number, since: number): boolean {
  const done = writes.filter(({ succeeded, ended }) => succeeded && ended >= since);
  if (value === 0) return done.every(({ began }) => began < since);
  const write = writes.find((each) => each.value === value);
  if (!write || write.ended < since) return false;
  return done.every(({ began }) => began <= write.ended);
}

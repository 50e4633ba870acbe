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
  | 'fork'
  | 'snapshot'
  | 'remove'
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
  /** The error that it must be answered with. */
  refusal: string | undefined;
  succeeded: boolean;
  /** What it was answered with. */
  view: SandboxView | undefined;
  read: { memory: number; disk: number } | undefined;
  /** Name of the template that is made or removed. */
  template: string | undefined;
  /** Of one that copies a sandbox: whether its memory is copied, too. */
  memory: boolean;
  /** Of a create: what took the copy that it begins as. Several when nobody knows which one it was; none for the host's own template. */
  copiedBy: readonly Operation[];
}

export class History {
  readonly operations: Operation[] = [];

  begin(
    client: string,
    verb: Verb,
    sandboxId: string,
    began: number,
    more: Partial<Operation> = {},
  ): Operation {
    const operation: Operation = {
      client,
      verb,
      sandboxId,
      value: undefined,
      began,
      ended: Number.POSITIVE_INFINITY,
      error: undefined,
      refusal: undefined,
      succeeded: false,
      view: undefined,
      read: undefined,
      template: undefined,
      memory: false,
      copiedBy: [],
      ...more,
    };
    this.operations.push(operation);
    return operation;
  }

  of(sandboxId: string): Operation[] {
    return this.operations.filter((operation) => operation.sandboxId === sandboxId);
  }

  /**
   * The writes that can be seen in the sandbox: its own, and those of the sandbox that it is a copy of, up to then.
   *
   * @param copiedBy what took that copy
   */
  writesIn(
    sandboxId: string,
    part: 'memory' | 'disk',
    copiedBy = this.copiesBegun(sandboxId)[0],
  ): Operation[] {
    const own = this.of(sandboxId).filter(({ verb }) => verb === 'write');
    if (!copiedBy || (part === 'memory' && !copiedBy.memory)) return own;
    const { began, ended } = copiedBy;
    const inherited = this.writesIn(copiedBy.sandboxId, part)
      .filter((write) => write.began < ended)
      .map((write) => {
        const isBefore = write.succeeded && write.ended <= began;
        // Before the copy was taken or after it: then it is not in the copy, and never will be.
        return isBefore ? write : { ...write, succeeded: false, ended: Math.min(write.ended, ended) };
      });
    return [...inherited, ...own];
  }

  /** What may have taken the copy that the sandbox began as. */
  copiesBegun(sandboxId: string): readonly Operation[] {
    return this.of(sandboxId).find(({ verb }) => verb === 'create')?.copiedBy ?? [];
  }

  /** What may have made the template of that name that there is now: one, unless nobody knows what became of some. */
  makersOf(template: string): Operation[] {
    const about = this.operations.filter((operation) => operation.template === template);
    const last = about.findLast(({ succeeded }) => succeeded);
    return about.filter(
      (each) =>
        each.verb === 'snapshot' &&
        (each === last || (!each.succeeded && each.ended === Number.POSITIVE_INFINITY)),
    );
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

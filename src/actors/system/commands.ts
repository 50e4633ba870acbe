import { DormouseError } from '../../errors/index.ts';
import type { Callers } from './callers.ts';
import type { CommandContext } from './command.ts';
import type { ActorRecord } from './journal.ts';

/** Commands that an actor has seen before, and errors for those that it does not take. */

/**
 * The answer to a command whose id is known: remembered, or of the one that is being carried out. Undefined for a new
 * command. Rejects with `IDEMPOTENCY_KEY_REUSED` when the id belongs to another request.
 *
 * @param name of the command that is asked for; undefined for whatever the id belongs to
 * @param current the command that the machine works on; after a restart nobody waits for it yet, and its body is not known
 */
export function knownAnswer(
  record: Pick<ActorRecord, 'replies'>,
  callers: Callers,
  current: { id: string; name: string } | null | undefined,
  name: string | undefined,
  fingerprint: string,
  context: CommandContext,
): Promise<unknown> | undefined {
  const { commandId } = context;
  const remembered = record.replies.find((reply) => reply.commandId === commandId);
  // A command that went on after a restart was answered without anybody knowing its request.
  const before = remembered?.fingerprint || callers.fingerprint(commandId);
  const joined = current?.id === commandId ? current : undefined;
  const isOther = name !== undefined && joined !== undefined && joined.name !== name;
  if (isOther || (before !== undefined && before !== fingerprint)) {
    return Promise.reject(
      new DormouseError(
        'IDEMPOTENCY_KEY_REUSED',
        'This key belongs to another request. Use a new key for a new request.',
      ),
    );
  }
  if (remembered) {
    const { reply } = remembered;
    return reply.ok ? Promise.resolve(reply.value) : Promise.reject(DormouseError.fromRecord(reply.error));
  }
  if (before !== undefined || joined) return callers.wait(fingerprint, context);
  return undefined;
}

/** An actor's kind as a person reads it: `loop registry`. */
export function shownKind(kind: string): string {
  return kind.replaceAll('-', ' ');
}

/** The error for a command that the state does not take: the state, and what it takes, or null when that was its last state. */
export function wrongState(
  kind: string,
  state: string,
  name: string,
  takes: readonly string[] | null,
): DormouseError {
  const allowed = takes ?? [];
  let can = 'It takes commands again when that is over.';
  if (allowed.length > 0) can = `It takes ${allowed.join(', ')}.`;
  else if (!takes) can = 'That is its end: it takes no commands any more.';
  const [outer, step = null] = state.split('.');
  return new DormouseError(
    'SANDBOX_WRONG_STATE',
    `The ${shownKind(kind)} is ${state} and does not take "${name}". ${can}`,
    { data: { state: outer, step, allowed } },
  );
}

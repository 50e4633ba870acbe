import { HOST_ID_PATTERN, SANDBOX_ID_PATTERN, TEAM_ID_PATTERN } from '../ids.ts';

/**
 * All subjects of Dormouse are built here and nowhere else. Ids are checked before they become a token, so that a `.`,
 * `*`, `>` or space from a client never reaches one.
 *
 * | subject | kind | meaning |
 * |---|---|---|
 * | `dormouse.sandbox.<team>.<id>.<command>` | request | one sandbox actor; no responder: it is active nowhere |
 * | `dormouse.host.<host>.<command>` | request | one host actor |
 * | `dormouse.loop-registry.<host>.<command>` | request | a host's loop registry |
 * | `dormouse.scheduler.<command>` | request, queue group | placement |
 * | `dormouse.event.sandbox.<team>.<id>.<state>` | JetStream | transitions |
 * | `dormouse.io.<exec>.<stream>` | publish | bytes of a running exec |
 * | `dormouse.cancel.<reply subject>` | publish | the caller that waits on this reply subject has gone |
 */

const sandboxId = new RegExp(SANDBOX_ID_PATTERN);
const teamId = new RegExp(TEAM_ID_PATTERN);
const hostId = new RegExp(HOST_ID_PATTERN);
const token = /^[A-Za-z0-9_-]{1,128}$/;

function checked(pattern: RegExp, value: string, what: string): string {
  if (!pattern.test(value))
    throw new RangeError(`not a ${what} that can stand in a subject: ${JSON.stringify(value)}`);
  return value;
}

/** `dormouse.sandbox.<team>.<id>`; a command's name follows. Throws `RangeError` for an id of another form. */
export function sandboxSubject(team: string, sandbox: string): string {
  return `dormouse.sandbox.${checked(teamId, team, 'team id')}.${checked(sandboxId, sandbox, 'sandbox id')}`;
}

/** `dormouse.host.<host>`; a command's name follows. */
export function hostSubject(host: string): string {
  return `dormouse.host.${checked(hostId, host, 'host id')}`;
}

/** `dormouse.loop-registry.<host>`; a command's name follows. */
export function loopRegistrySubject(host: string): string {
  return `dormouse.loop-registry.${checked(hostId, host, 'host id')}`;
}

/** Prefix of the scheduler's commands, answered by one member of the queue group `scheduler`. */
export const SCHEDULER_SUBJECT = 'dormouse.scheduler';

/** `dormouse.event.sandbox.<team>.<id>.<state>`, where state is a top-level state. */
export function eventSubject(team: string, sandbox: string, state: string): string {
  return `dormouse.event.sandbox.${checked(teamId, team, 'team id')}.${checked(sandboxId, sandbox, 'sandbox id')}.${checked(token, state, 'state')}`;
}

/** All subjects of the stream of events. */
export const EVENT_SUBJECTS = 'dormouse.event.>';

/** `dormouse.io.<exec>.<stream>`. */
export function ioSubject(exec: string, stream: 'stdout' | 'stderr'): string {
  return `dormouse.io.${checked(token, exec, 'exec id')}.${stream}`;
}

const CANCEL_PREFIX = 'dormouse.cancel.';

/** All notes of callers that have gone. */
export const CANCEL_SUBJECTS = `${CANCEL_PREFIX}>`;

/**
 * The note that nobody waits for a reply any more. It names the request by its reply subject, which is the caller's own
 * alone, so permissions can confine a process to cancelling its own requests.
 */
export function cancelSubject(reply: string): string {
  return CANCEL_PREFIX + reply;
}

/** The reply subject that a note names. */
export function cancelledReply(subject: string): string {
  return subject.slice(CANCEL_PREFIX.length);
}

import type { Inspected } from '../actors/system/inspect.ts';
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
 * | `dormouse.watch.sandbox.<team>.<id>` | publish | somebody looks at this sandbox; `all` for all of the team |
 * | `dormouse.watch.<kind>.<host>` | publish | somebody looks at the `host` or its `loop-registry` |
 * | `dormouse.inspect.sandbox.<team>.<id>` | publish | what happens to a sandbox that somebody looks at |
 * | `dormouse.inspect.<kind>.<host>` | publish | what happens to a `host` or `loop-registry` that somebody looks at |
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

/** The events of all sandboxes of a team. */
export function teamEventSubjects(team: string): string {
  return `dormouse.event.sandbox.${checked(teamId, team, 'team id')}.*.*`;
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

/** What can be looked at: an actor, or all sandboxes of a team, with `all` in the place of the id. */
export type WatchTarget = Inspected;

/** What stands for all sandboxes of a team, where one's id could stand. */
const ALL_SANDBOXES = 'all';

/** `dormouse.watch.…`: whoever looks at the target says so there, again and again. */
export function watchSubject(target: WatchTarget): string {
  return `dormouse.watch.${targetTokens(target, ALL_SANDBOXES)}`;
}

/** `dormouse.inspect.…`: what happens to the target. For all sandboxes of a team it is a pattern to subscribe to. */
export function inspectSubject(target: WatchTarget): string {
  return `dormouse.inspect.${targetTokens(target, '*')}`;
}

/** The notes of all who look at sandboxes. */
export const SANDBOX_WATCH_SUBJECTS = 'dormouse.watch.sandbox.*.*';

function targetTokens(target: WatchTarget, all: string): string {
  if (target.kind !== 'sandbox') return `${target.kind}.${checked(hostId, target.hostId, 'host id')}`;
  const id = target.id === ALL_SANDBOXES ? all : checked(sandboxId, target.id, 'sandbox id');
  return `sandbox.${checked(teamId, target.teamId, 'team id')}.${id}`;
}

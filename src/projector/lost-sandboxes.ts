import { type HostInfo, hostCommands } from '../actors/host/protocol.ts';
import type { SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';
import { hostSubject } from '../bus/subjects.ts';
import { messageOf } from '../errors/index.ts';
import { LOST } from '../records/types.ts';
import type { ProjectorOptions } from './projector.ts';

/**
 * The records can name a sandbox that no host keeps: a scheduler claimed it and died before it asked the host, or the host lost
 * power before the sandbox was on its disk. No event will ever tell of it. This compares what the records say of a host with what
 * the host says, and tells of those sandboxes itself: `failed`, with `SANDBOX_LOST`.
 *
 * 1. **The records are read before the host is asked.** What a host does not know after the record was read, it has lost, or it was
 *    not asked for it yet. For a record that is older than any create may take, nobody is on the way any more.
 * 2. **One answer is not enough.** A host does not name a sandbox while its actor is started again. So a sandbox counts as missing
 *    only when no answer of the last `MISSING_MS` named it. A host that did not answer, or starts, is counted anew.
 * 3. **What still has a folder is not lost.** An actor that was left stopped is not named either, and a person may want it back.
 *    Therefore the host's leaks are asked as well, and after them its sandboxes again: what was started meanwhile is in one of the two.
 * 4. **A host's own word wins.** That a sandbox is lost is inferred, and the inference has the number that the host's next transition
 *    would have. One may exist: the events may be far behind (the database was away, the records are being built again), and a create
 *    that is repeated with its `Idempotency-Key` may begin at this moment. Whichever of the two comes first, the records keep the
 *    host's (`Records.applyTransition`). So nothing a host tells is lost, whatever was inferred, and no clock has to be right.
 *
 * The inference is not appended to the stream. That has what actors say, and its check for repetitions would take the host's next
 * event for this one. Records that are built again from the stream get it again from here.
 *
 * Several projectors may do this at once: the second of two inferences changes nothing.
 */

/** Time between two rounds, in milliseconds. */
const ROUND_MS = 10_000;
/**
 * How long a record must not have changed, in milliseconds: longer than the 185 s that a fork may take, or the 125 s of a create,
 * after which a host does not begin it. The time in a record is by the clock of the scheduler, for a claim, or of the host, for all else; here it is
 * compared with the clock of this process. The difference is for clocks that do not agree.
 */
const LOST_AFTER_MS = 240_000;
/** For how long no answer may have named the sandbox, in milliseconds: longer than all restarts that an actor gets in a row. */
const MISSING_MS = 30_000;
/** After how long a sandbox that is not named but has a folder is looked at again, in milliseconds. */
const LOOK_AGAIN_MS = 60_000;
/** How many records are read at once. */
const PAGE = 1_000;

/** States of a host in which it has taken over all that is on its disk. */
const KNOWS_ALL: ReadonlySet<HostInfo['state']> = new Set(['ready', 'draining']);

/** Records whose sandbox a host does not name, by `keyOf`, and when that has lasted long enough, on the monotonic clock. */
type Missing = ReadonlyMap<string, number>;

/**
 * Compares the records with what hosts keep, every few seconds until `signal` aborts, and writes down what is lost. A host that
 * does not answer is left out; what fails is made up for by the next rounds.
 */
export async function findLostSandboxes(options: ProjectorOptions): Promise<void> {
  const { clock, log, signal } = options;
  let missing: ReadonlyMap<string, Missing> = new Map();
  while (!signal.aborted) {
    try {
      missing = await round(missing, options);
    } catch (error) {
      missing = new Map();
      if (!signal.aborted) log.warn({ reason: messageOf(error) }, 'lost sandboxes were not looked for');
    }
    await clock.sleep(ROUND_MS, signal).catch(() => undefined);
  }
}

async function round(
  before: ReadonlyMap<string, Missing>,
  options: ProjectorOptions,
): Promise<Map<string, Missing>> {
  const { bus, log, signal } = options;
  const missing = new Map<string, Missing>();
  for (const { host_id: hostId, state } of await bus.hosts.list()) {
    if (!KNOWS_ALL.has(state)) continue;
    try {
      missing.set(hostId, await compareHost(hostId, before.get(hostId) ?? new Map(), options));
    } catch (error) {
      if (signal.aborted) break;
      log.info(
        { host: hostId, reason: messageOf(error) },
        'the records of a host were not compared with what it keeps',
      );
    }
  }
  return missing;
}

/** Compares one host. Returns what is missing there now. */
async function compareHost(hostId: string, before: Missing, options: ProjectorOptions): Promise<Missing> {
  const { clock } = options;
  const recorded = await readUnchanged(hostId, options);
  if (recorded.length === 0) return new Map();
  const named = await namedBy(hostId, options);
  const absent = recorded.filter(({ id }) => !named.has(id));
  const nowMs = clock.monotonicMs();
  const missing = new Map(absent.map((view) => [keyOf(view), before.get(keyOf(view)) ?? nowMs + MISSING_MS]));
  const due = absent.filter((view) => (missing.get(keyOf(view)) ?? Infinity) <= nowMs);
  if (due.length === 0) return missing;
  const kept = await keptBy(hostId, options);
  for (const view of due) {
    if (kept.has(view.id)) missing.set(keyOf(view), nowMs + LOOK_AGAIN_MS);
    else await tellLost(view, options);
  }
  return missing;
}

/** All sandboxes that are said to be on the host and of which nothing was heard for long. */
async function readUnchanged(hostId: string, { records, clock }: ProjectorOptions): Promise<SandboxView[]> {
  const since = new Date(clock.nowMs() - LOST_AFTER_MS);
  const all: SandboxView[] = [];
  for (;;) {
    const afterId = all.at(-1)?.id;
    const page = await records.unchangedSandboxes(hostId, since, {
      limit: PAGE,
      ...(afterId !== undefined && { afterId }),
    });
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

/** Ids of the sandboxes whose actors the host has. */
async function namedBy(hostId: string, { bus, signal }: ProjectorOptions): Promise<Set<string>> {
  const subject = `${hostSubject(hostId)}.${hostCommands.sandboxes.name}`;
  const { sandboxes } = await bus.request(subject, hostCommands.sandboxes, {}, { signal });
  return new Set(sandboxes.map(({ id }) => id));
}

/** Ids of the sandboxes that the host has anything of: an actor, or a folder that no actor has. */
async function keptBy(hostId: string, options: ProjectorOptions): Promise<Set<string>> {
  const { bus, signal } = options;
  const subject = `${hostSubject(hostId)}.${hostCommands.leaks.name}`;
  const { leaks } = await bus.request(subject, hostCommands.leaks, {}, { signal });
  const kept = await namedBy(hostId, options);
  for (const { kind, name } of leaks) if (kind === 'folder') kept.add(name);
  return kept;
}

async function tellLost(view: SandboxView, { records, clock, log }: ProjectorOptions): Promise<void> {
  if (!(await records.applyTransition(lostTransition(view, clock.nowMs())))) return;
  log.warn(
    { sandbox: view.id, host: view.host_id, was: view.state, seq: view.seq },
    'a sandbox is lost: its host does not know it',
  );
}

/** What the records are told of a sandbox that is lost. */
function lostTransition(view: SandboxView, nowMs: number): SandboxTransition {
  const at = new Date(nowMs).toISOString();
  const seq = view.seq + 1;
  const error = { code: 'SANDBOX_LOST', detail: whyLost(view) };
  return {
    v: 1,
    sandbox_id: view.id,
    team_id: view.team_id,
    host_id: view.host_id,
    seq,
    execution: view.execution,
    at,
    from: view.step === null ? view.state : `${view.state}.${view.step}`,
    to: 'failed',
    cause: LOST,
    command_id: null,
    step: null,
    step_duration_ms: null,
    error,
    sandbox: {
      ...view,
      state: 'failed',
      step: null,
      updated_at: at,
      expires_at: null,
      seq,
      last_error: error,
      allowed: [],
    },
  };
}

function whyLost({ seq }: SandboxView): string {
  // A claim has the number 0: no host ever told of it.
  return seq === 0
    ? 'Its host does not know it: the host was never asked to make it, or lost power before the sandbox was on its disk. Make another one, with a new Idempotency-Key.'
    : 'Its host does not know it any more: the host lost power before the sandbox was on its disk, or its folder was removed. Nothing of it is left.';
}

/** A record that has changed is another one. */
function keyOf({ id, seq }: SandboxView): string {
  return `${id} ${seq}`;
}

import { PROJECTOR_CONSUMER } from '../../nats/streams.ts';
import type { Bus, StoredEvent } from '../bus/types.ts';
import type { Clock } from '../clock.ts';
import { hasCode } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { Records } from '../records/types.ts';
import { findLostSandboxes } from './lost-sandboxes.ts';
import { mirrorHosts } from './mirror-hosts.ts';
import { ProgressReport } from './progress-report.ts';

/** Between two tries while the database is away, in milliseconds. */
const RETRY_FIRST_MS = 100;
const RETRY_LONGEST_MS = 5_000;

export interface ProjectorOptions {
  bus: Bus;
  records: Records;
  clock: Clock;
  log: Logger;
  /** Ends the projector. What it is at work on is stored by the next one. */
  signal: AbortSignal;
}

/**
 * Brings the stream of events into the records, and what hosts say of themselves, until `signal` aborts. Sandboxes of which no
 * event will come any more are found by asking the hosts.
 *
 * - While the database is away the event at hand waits, and with it all that follow: the order is kept.
 * - An event that cannot be stored whatever is done is logged and acknowledged, so that it does not hold up the rest.
 */
export async function runProjector(options: ProjectorOptions): Promise<void> {
  const { bus, clock, log } = options;
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  const report = new ProgressReport(clock, log);
  const stopReports = report.start();
  const asking = Promise.all([
    mirrorHosts({ ...options, signal }),
    findLostSandboxes({ ...options, signal }),
  ]);
  try {
    await bus.events.consume(
      PROJECTOR_CONSUMER,
      (event) => project(event, { ...options, signal }, report),
      signal,
    );
  } finally {
    ended.abort();
    stopReports();
    await asking;
  }
}

async function project(event: StoredEvent, options: ProjectorOptions, report: ProgressReport): Promise<void> {
  if (await store(event, options, report)) await event.ack();
  else event.retry(0);
}

/** Stores the event, or finds that it cannot be stored. False when the projector ends before either. */
async function store(
  { transition, streamSeq }: StoredEvent,
  { records, clock, log, signal }: ProjectorOptions,
  report: ProgressReport,
): Promise<boolean> {
  let delayMs = RETRY_FIRST_MS;
  for (;;) {
    try {
      const isNew = await records.applyTransition(transition);
      report.stored(transition, isNew);
      return true;
    } catch (error) {
      if (!hasCode(error, 'RECORDS_UNAVAILABLE')) {
        const { sandbox_id: sandbox, seq } = transition;
        log.error({ err: error, sandbox, seq, streamSeq }, 'an event cannot be stored and is skipped');
        report.skipped();
        return true;
      }
      if (signal.aborted) return false;
      log.warn({ streamSeq, delayMs, reason: error.detail }, 'the database is away; the event waits');
      await clock.sleep(delayMs, signal).catch(() => undefined);
      delayMs = Math.min(delayMs * 2, RETRY_LONGEST_MS);
    }
  }
}

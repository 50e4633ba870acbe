import type { FastifyRequest } from 'fastify';
import type { Clock, Timer } from '../../clock.ts';
import { hasCode } from '../../errors/index.ts';
import { newRequestId } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import type { AuditEntry, Records } from '../../records/types.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { NOBODY_IN_PARTICULAR } from './auth.ts';

/** How long an entry waits for others, and for records that were away, in milliseconds. */
const GATHER_MS = 200;
const AWAY_MS = 2_000;
/** Entries that are written at once. */
const BATCH_MAX = 200;
/** Entries that wait while the records are away; beyond it the oldest go to the log. */
const WAITING_MAX = 10_000;

/** What a path may name. Anything else names nothing that there is, and may be a text that no database takes. */
const TARGET = /^[A-Za-z0-9._-]{1,64}(\/[A-Za-z0-9._-]{1,64})?$/;

/**
 * Writes who did what: an entry for each request that could change something and for each wrong key, after it was answered.
 * Requests do not wait for it; entries are written in batches, wait while the records are away, and are written before the edge
 * has closed.
 */
export function addAudit(app: EdgeApp, { records, clock, log }: EdgePorts): void {
  const writer = new AuditWriter(records, clock, log);
  app.addHook('onResponse', async (request, reply) => {
    const { rules } = request.routeOptions.config;
    if (!rules || request.method === 'GET' || request.method === 'HEAD') return;
    if (!request.principal && !isWrongKey(request)) return;
    writer.add(entryOf(request, reply.statusCode, clock.nowMs()));
  });
  app.addHook('onClose', () => writer.close());
}

/**
 * Whether the request came with a key that lets nobody in. There are only so many of them, for who guesses is slowed down. Whoever
 * sends no key, or is told to come later, has done nothing and must not fill the log.
 */
function isWrongKey({ hasKey, problemCode }: FastifyRequest): boolean {
  return hasKey && problemCode === 'UNAUTHENTICATED';
}

function entryOf(request: FastifyRequest, status: number, nowMs: number): AuditEntry {
  const { principal, routeOptions, params, headers } = request;
  const target = Object.values((params ?? {}) as Record<string, string>).join('/');
  return {
    // An id that the caller chose may come twice, and the second entry would be taken for the first.
    id: headers['x-request-id'] === request.id ? newRequestId() : request.id,
    at: new Date(nowMs),
    teamId: principal?.teamId ?? null,
    keyId: principal === undefined || principal === NOBODY_IN_PARTICULAR ? null : principal.keyId,
    address: request.ip,
    action: routeOptions.schema?.operationId ?? '',
    target: TARGET.test(target) ? target : null,
    status,
    code: request.problemCode ?? null,
  };
}

/** Entries on their way into the records. */
export class AuditWriter {
  readonly #records: Pick<Records, 'appendAudit'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #waiting: AuditEntry[] = [];
  #timer: Timer | undefined;
  #writing: Promise<boolean> | undefined;

  constructor(records: Pick<Records, 'appendAudit'>, clock: Clock, log: Logger) {
    this.#records = records;
    this.#clock = clock;
    this.#log = log;
  }

  /** Takes an entry, which is written soon. */
  add(entry: AuditEntry): void {
    this.#waiting.push(entry);
    if (this.#waiting.length > WAITING_MAX) this.#giveUp(this.#waiting.splice(0, 1));
    this.#wakeAfter(GATHER_MS);
  }

  /** Writes what waits. What the records do not take now goes to the log. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#writing;
    while (this.#waiting.length > 0 && (await this.#write())) {
      // The next batch.
    }
    if (this.#waiting.length > 0) this.#giveUp(this.#waiting.splice(0));
  }

  #wakeAfter(delayMs: number): void {
    if (this.#timer || this.#writing) return;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#writing = this.#write();
      void this.#writing.then((isWritten) => {
        this.#writing = undefined;
        if (this.#waiting.length > 0) this.#wakeAfter(isWritten ? GATHER_MS : AWAY_MS);
      });
    });
  }

  /** Writes a batch. Returns false when the records are away, and keeps the batch then. */
  async #write(): Promise<boolean> {
    const batch = this.#waiting.splice(0, BATCH_MAX);
    try {
      await this.#records.appendAudit(batch);
    } catch (error) {
      if (hasCode(error, 'RECORDS_UNAVAILABLE')) {
        this.#waiting.unshift(...batch);
        return false;
      }
      this.#log.error({ err: error }, 'the records refuse entries of the audit log');
      this.#giveUp(batch);
    }
    return true;
  }

  #giveUp(entries: readonly AuditEntry[]): void {
    for (const entry of entries) this.#log.error({ audit: entry }, 'an entry of the audit log is only here');
  }
}

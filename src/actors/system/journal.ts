import { readFile } from 'node:fs/promises';
import type { StateValue } from 'xstate';
import { writeFileDurably } from '../../durable-file.ts';
import { DormouseError, type ErrorRecord } from '../../errors/index.ts';
import type { LedgerEntry } from './step.ts';

/**
 * The journal is the truth about an actor: everything that its successor needs after a crash. One file, replaced as a
 * whole before an effect begins and before a caller is answered: temporary file, fsync, rename, fsync of the folder.
 */
export interface ActorRecord<Context = unknown> {
  /** Version of this format. A reader takes every version that was ever released. */
  v: 1;
  kind: string;
  id: string;
  /** Number of the last transition. */
  seq: number;
  value: StateValue;
  context: Context;
  /** When the state was entered, in milliseconds since the epoch. */
  enteredAtMs: number;
  /** Deadlines that are armed, as absolute times: a delay would begin anew after a restart. */
  timers: Record<string, { atMs: number; event: { type: string } }>;
  ledger: LedgerEntry[];
  /** Events that the stream has not acknowledged yet, oldest first. */
  outbox: unknown[];
  /** Answers to the last commands, so that one that arrives again is answered the same and done once. */
  replies: Array<RememberedReply>;
}

export interface RememberedReply {
  commandId: string;
  /** Hash of name and body: the same id with another request is refused. */
  fingerprint: string;
  reply: { ok: true; value: unknown } | { ok: false; error: ErrorRecord };
}

export interface Journal {
  /** The record, or undefined when there is none. Throws when it cannot be read or is not one. */
  load(): Promise<ActorRecord | undefined>;
  /** Returns when the record is safe on the disk. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
  save(record: ActorRecord): Promise<void>;
}

/** What every record has. */
const KEYS = [
  'kind',
  'id',
  'seq',
  'value',
  'context',
  'enteredAtMs',
  'timers',
  'ledger',
  'outbox',
  'replies',
] as const satisfies ReadonlyArray<keyof ActorRecord>;

/** The journal of one actor in a file. Its folder must exist. */
export function fileJournal(file: string): Journal {
  return {
    async load() {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return undefined;
      const record = JSON.parse(text) as Partial<ActorRecord> | null;
      if (record?.v !== 1)
        throw new DormouseError(
          'INTERNAL',
          `The journal ${file} has version ${String(record?.v)}; this Dormouse reads version 1. A newer Dormouse wrote it.`,
        );
      const missing = KEYS.filter((key) => record[key] === undefined);
      if (missing.length > 0)
        throw new DormouseError('INTERNAL', `The journal ${file} has no ${missing.join(', ')}.`);
      return record as ActorRecord;
    },
    save: (record) => writeFileDurably(file, JSON.stringify(record), 0o600),
  };
}

/** A journal for actors whose truth is elsewhere (the loop registry's is the kernel): it keeps nothing. */
export const volatileJournal: Journal = { load: async () => undefined, save: async () => {} };

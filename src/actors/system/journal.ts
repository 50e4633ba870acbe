import { readFile } from 'node:fs/promises';
import type { StateValue } from 'xstate';
import { bootId } from '../../boot-id.ts';
import { replaceFile, writeFileDurably } from '../../durable-file.ts';
import { DormouseError, type ErrorRecord } from '../../errors/index.ts';
import type { LedgerEntry } from './step.ts';

/**
 * The journal is the truth about an actor: everything that its successor needs after a crash. The record is replaced as
 * a whole before an effect begins and before a caller is answered.
 *
 * There are two files. `state.json` is written so that it outlives a power cut: before what a power cut must not undo, and
 * soon after the actor has come to rest, when nobody waits. `state.next.json` is written on the way there, without waiting for the disk: it outlives
 * the agent, and that is all it has to, because a power cut ends the virtual machine, the namespaces and the devices that
 * it tells of. So it counts only in the boot of the host in which it was written, and only when it is the newer one.
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
  /** After `load`: the record was written in an earlier boot of the host, so what was told after it may not be in it. */
  readonly isFromEarlierBoot?: boolean;
  /** The record, or undefined when there is none. Throws when it cannot be read or is not one. */
  load(): Promise<ActorRecord | undefined>;
  /**
   * Returns when the record outlives this process, and a power cut too if it is `durable`. Throws `DISK_FULL`,
   * `DATA_DIR_UNWRITABLE`.
   */
  save(record: ActorRecord, durable: boolean): Promise<void>;
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

/** What a file has beside the record. */
interface Written {
  /** Counts the writes, over both files. */
  revision?: number;
  /** Boot of the host in which it was written. */
  boot?: string;
}

/** The journal of one actor in `file`, which ends in `.json`, and the one beside it. Its folder must exist. */
export function fileJournal(file: string): Journal {
  const nextFile = file.replace(/\.json$/, '.next.json');
  let revision = 0;
  let isFromEarlierBoot = false;
  return {
    get isFromEarlierBoot() {
      return isFromEarlierBoot;
    },
    async load() {
      const durable = await readRecord(file);
      const next = await readRecord(nextFile).catch(() => undefined);
      const counts = next?.boot === (await bootId()) && (next.revision ?? 0) > (durable?.revision ?? 0);
      const found = counts ? next : durable;
      revision = Math.max(durable?.revision ?? 0, next?.revision ?? 0);
      if (!found) return undefined;
      isFromEarlierBoot = found.boot !== (await bootId());
      const { revision: _revision, boot: _boot, ...record } = found;
      return record;
    },
    async save(record, durable) {
      revision += 1;
      const text = JSON.stringify({ ...record, revision, boot: await bootId() });
      await (durable ? writeFileDurably(file, text, 0o600) : replaceFile(nextFile, text, 0o600));
    },
  };
}

async function readRecord(file: string): Promise<(ActorRecord & Written) | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as Partial<ActorRecord & Written> | null;
  if (record?.v !== 1) {
    throw new DormouseError(
      'INTERNAL',
      `The journal ${file} has version ${String(record?.v)}; this Dormouse reads version 1. A newer Dormouse wrote it.`,
    );
  }
  const missing = KEYS.filter((key) => record[key] === undefined);
  if (missing.length > 0)
    throw new DormouseError('INTERNAL', `The journal ${file} has no ${missing.join(', ')}.`);
  return record as ActorRecord & Written;
}

/** A journal for actors whose truth is elsewhere (the loop registry's is the kernel): it keeps nothing. */
export const volatileJournal: Journal = { load: async () => undefined, save: async () => {} };

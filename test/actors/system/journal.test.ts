import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type ActorRecord, fileJournal } from '../../../src/actors/system/journal.ts';

const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-journal-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
const file = path.join(dir, 'state.json');

const record: ActorRecord = {
  v: 1,
  kind: 'door',
  id: 'd1',
  seq: 3,
  value: { pausing: 'snapshotting' },
  context: { text: 'ümläut "quoted" \\ 𝄞', nothing: null },
  enteredAtMs: 1,
  timers: { expired: { atMs: Number.MAX_SAFE_INTEGER, event: { type: 'expired' } } },
  ledger: [{ kind: 'disk', sinceMs: 1 }],
  outbox: [{ seq: 3 }],
  replies: [{ commandId: 'c', fingerprint: 'f', reply: { ok: true, value: { a: 1 } } }],
};

t.test('what was saved is loaded', async (t) => {
  const journal = fileJournal(file);
  t.equal(await journal.load(), undefined, 'there is none at first');
  await journal.save(record, true);
  t.same(await journal.load(), record);
  await journal.save({ ...record, seq: 4 }, true);
  t.equal((await journal.load())?.seq, 4);
});

t.test('a file that was cut anywhere is an error, not an empty actor', async (t) => {
  const journal = fileJournal(file);
  await journal.save(record, true);
  const whole = await readFile(file);
  const details = await fc.check(
    fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async (length) => {
      await writeFile(file, whole.subarray(0, length));
      const loaded = await journal.load().catch((error: unknown) => error);
      return loaded instanceof Error;
    }),
    { numRuns: 100, examples: [[0], [1], [whole.length - 1]] },
  );
  t.notOk(details.failed, `seed ${details.seed}, counterexample ${details.counterexample}`);
});

t.test('a file that is JSON but no record is an error', async (t) => {
  const journal = fileJournal(file);
  for (const text of ['null', '{}', '[]', '"text"', '0', '{"v":2}', '{"v":1}', '{"v":1,"seq":0}']) {
    await writeFile(file, text);
    await t.rejects(journal.load(), Error, text);
  }
});

t.test('what a writer that died left beside the journal does not matter', async (t) => {
  const journal = fileJournal(file);
  await journal.save(record, true);
  await writeFile(`${file}.0badf00d.tmp`, '{"v":1,');
  t.same(await journal.load(), record);
  await journal.save({ ...record, seq: 9 }, true);
  t.equal((await journal.load())?.seq, 9);
});

t.test('a journal that cannot be read is an error', async (t) => {
  // A folder in its place: reading it fails also for root.
  await t.rejects(fileJournal(dir).load(), { code: 'EISDIR' });
});

t.test(
  'of the two files the newer one counts, and the quick one only in the boot that wrote it',
  async (t) => {
    const own = path.join(dir, 'two.json');
    const quick = path.join(dir, 'two.next.json');
    const journal = fileJournal(own);
    const seq = async (): Promise<number | undefined> => (await fileJournal(own).load())?.seq;
    await journal.save({ ...record, seq: 1 }, false);
    t.equal(await seq(), 1, 'it counts when there is no other');
    await journal.save({ ...record, seq: 2 }, true);
    t.equal(await seq(), 2, 'the older one is left where it is and does not count');
    await journal.save({ ...record, seq: 3 }, false);
    t.equal(await seq(), 3);
    const written = JSON.parse(await readFile(quick, 'utf8'));
    await writeFile(quick, JSON.stringify({ ...written, boot: 'another' }));
    t.equal(await seq(), 2, 'after a power cut the durable one counts');
    await writeFile(quick, '{"v":1,');
    t.equal(await seq(), 2, 'also when the power cut tore the other');
    const heir = fileJournal(own);
    await writeFile(quick, JSON.stringify(written));
    await heir.load();
    await heir.save({ ...record, seq: 4 }, true);
    t.equal(await seq(), 4, 'a successor counts on from the newest');
  },
);

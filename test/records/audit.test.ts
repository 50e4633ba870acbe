import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { newRequestId } from '../../src/ids.ts';
import type { AuditEntry, Page } from '../../src/records/types.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

const entry = (changes: Partial<AuditEntry> = {}): AuditEntry => ({
  id: newRequestId(),
  at: new Date(Date.UTC(2026, 0, 1)),
  teamId: newTeamId(),
  keyId: newTeamId(),
  address: '127.0.0.1',
  action: 'destroySandbox',
  target: 'sb-aaaaaaaaaaaaaaaaaaaa',
  status: 200,
  code: null,
  ...changes,
});

t.test('the audit log', async (t) => {
  const { records, sql } = await startTestRecords(t);

  await t.test('all of an entry comes back', async (t) => {
    const known = entry();
    const unknown = entry({ teamId: null, keyId: null, target: null, status: 401, code: 'UNAUTHENTICATED' });
    await records.appendAudit([known, unknown]);
    await records.appendAudit([]);
    t.same((await records.listAudit({ teamId: known.teamId ?? '', limit: 10 })).items, [known]);
    const all = (await records.listAudit({ limit: 10 })).items;
    t.same(new Set(all), new Set([known, unknown]), 'without a team: those of everybody, and of nobody');
    t.same((await records.listAudit({ keyId: known.keyId ?? '', limit: 10 })).items, [known]);
    t.same((await records.listAudit({ keyId: known.keyId ?? '', teamId: newTeamId(), limit: 10 })).items, []);
  });

  await t.test('a batch may be sent again, and again in part', async (t) => {
    const teamId = newTeamId();
    const batch = [entry({ teamId }), entry({ teamId }), entry({ teamId })];
    await records.appendAudit(batch.slice(0, 2));
    await Promise.all(Array.from({ length: 5 }, () => records.appendAudit(batch)));
    t.equal((await records.listAudit({ teamId, limit: 10 })).items.length, 3);
  });

  await t.test('a request is not hidden by one with the same id', async (t) => {
    const teamId = newTeamId();
    const first = entry({ teamId });
    const second = { ...first, at: new Date(first.at.getTime() + 1), action: 'revokeKey' };
    await records.appendAudit([first]);
    await records.appendAudit([second]);
    t.same((await records.listAudit({ teamId, limit: 10 })).items, [second, first], 'newest first');
  });

  await t.test('words that cannot be stored do not keep the rest away', async (t) => {
    const teamId = newTeamId();
    await records.appendAudit([entry({ teamId, target: 'a\0b\ud83d' }), entry({ teamId, target: 'c' })]);
    const targets = (await records.listAudit({ teamId, limit: 10 })).items.map(({ target }) => target);
    t.same(targets.sort(), ['a\uFFFDb\uFFFD', 'c']);
  });

  await t.test('pages show each entry once while others are added', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 25 }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        async (times, limit, ofOneTeam) => {
          await sql('truncate audit_log');
          const teamId = newTeamId();
          const make = (atMs: number): AuditEntry => entry({ teamId, at: new Date(atMs) });
          // Few different times, so that many entries share one.
          const before = times.map(make);
          await records.appendAudit(before);
          const seen: AuditEntry[] = [];
          let cursor: string | null | undefined;
          while (cursor !== null) {
            const page: Page<AuditEntry> = await records.listAudit({
              ...(ofOneTeam && { teamId }),
              limit,
              ...(cursor && { cursor }),
            });
            assert.ok(page.nextCursor === null || page.items.length === limit, 'no short page but the last');
            seen.push(...page.items);
            cursor = page.nextCursor;
            await records.appendAudit([make(1_000 + seen.length), entry({ at: new Date(2_000) })]);
          }
          const old = seen.filter(({ at }) => at.getTime() < 1_000);
          assert.deepEqual(old.map(({ id }) => id).sort(), before.map(({ id }) => id).sort());
          const order = seen.map(({ at, id }) => `${String(at.getTime()).padStart(5, '0')} ${id}`);
          assert.deepEqual(order, [...new Set(order)].sort().reverse(), 'newest first, none twice');
        },
      ),
      { seed, numRuns: 20 },
    );
    for (const cursor of ['', 'nonsense', Buffer.from('[1,"a b"]').toString('base64url')])
      await t.rejects(records.listAudit({ limit: 1, cursor }), { code: 'INVALID_REQUEST' });
  });
});

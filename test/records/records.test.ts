import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { SandboxTransition, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { newSandboxId } from '../../src/ids.ts';
import { openDatabase } from '../../src/records/database.ts';
import { openRecords } from '../../src/records/index.ts';
import { LOST } from '../../src/records/types.ts';
import { exampleHost, exampleTransition, exampleView } from '../support/bus.ts';
import { silentLog, until } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

const atSecond = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();

/** A sandbox that fails, pauses and is destroyed at last: its history. */
function historyOf(view: SandboxView, states: SandboxView['state'][]): SandboxTransition[] {
  return states.map((state, index) => {
    const seq = index + 1;
    const changed: SandboxView = {
      ...view,
      state,
      step: state === 'pausing' ? 'snapshotting' : null,
      updated_at: atSecond(seq),
      expires_at: state === 'running' ? atSecond(seq + 60) : null,
      execution: 1 + Math.floor(index / 3),
      last_error: state === 'failed' ? { code: 'VMM_FAILED', detail: 'no' } : null,
      allowed: state === 'running' ? ['pause', 'destroy'] : [],
    };
    return {
      ...exampleTransition(changed, seq),
      at: atSecond(seq),
      to: state,
      step: 'snapshot',
      step_duration_ms: 12.25 * seq,
      command_id: `c-${seq}`,
      error: state === 'failed' ? { code: 'VMM_FAILED', detail: 'no', causes: ['a', 'b'] } : null,
      // Older hosts tell none.
      ...(state !== 'creating' && { moment: { context: { tries: index }, ledger: [], timers: [] } }),
    };
  });
}

t.test('the records', async (t) => {
  const { records, postgres, sql } = await startTestRecords(t);

  await t.test('keys', async (t) => {
    const teamId = newTeamId();
    const key = { teamId, teamName: 'mine', keyHash: 'aa11', prefix: 'dm_abc', name: 'first' };
    t.equal(await records.ensureKey({ ...key, scopes: ['read', 'admin'] }), true);
    t.equal(await records.ensureKey({ ...key, scopes: ['write'] }), false, 'what is there stays');
    const principal = await records.authenticate('aa11');
    t.match(principal, { teamId, scopes: ['read', 'admin'] });
    t.equal(await records.authenticate('unknown'), undefined);
    t.equal(await records.authenticate(`x' or '1'='1`), undefined);

    const added = await Promise.all(
      Array.from({ length: 5 }, () => records.ensureKey({ ...key, keyHash: 'bb22', scopes: [] })),
    );
    t.equal(added.filter(Boolean).length, 1, 'of many that add it at once one does');

    await sql(`update api_keys set expires_at = now() - interval '1 second' where hash = 'bb22'`);
    t.equal(await records.authenticate('bb22'), undefined, 'expired');
    await sql(`update api_keys set expires_at = now() + interval '1 hour' where hash = 'bb22'`);
    t.ok(await records.authenticate('bb22'));
    await sql(`update api_keys set revoked_at = now() where hash = 'bb22'`);
    t.equal(await records.authenticate('bb22'), undefined, 'revoked');
  });

  await t.test('the use of a key is noted once a minute', async (t) => {
    const teamId = newTeamId();
    await records.ensureKey({
      teamId,
      teamName: 'x',
      keyHash: 'used',
      prefix: 'x',
      name: 'x',
      scopes: ['read'],
    });
    let nowMs = Date.UTC(2026, 5, 1);
    const clock: Clock = { ...systemClock, nowMs: () => nowMs };
    const lastUsed = async (): Promise<number | undefined> => {
      const [row] = await sql<{ at: string | null }>(
        `select last_used_at as at from api_keys where hash = 'used'`,
      );
      return row?.at ? new Date(row.at).getTime() : undefined;
    };
    const first = nowMs;
    const open = () => openRecords({ url: postgres.url, clock, log: silentLog });
    let timed = await open();
    await Promise.all(Array.from({ length: 5 }, () => timed.authenticate('used')));
    // Closing waits for what is being written.
    await timed.close();
    t.equal(await lastUsed(), first);
    timed = await open();
    nowMs += 59_000;
    await timed.authenticate('used');
    await timed.close();
    t.equal(await lastUsed(), first, 'not yet again');
    timed = await open();
    nowMs += 1_000;
    await timed.authenticate('used');
    await timed.close();
    t.equal(await lastUsed(), first + 60_000);
  });

  await t.test('any order of a history, with repetitions, gives the same records', async (t) => {
    const states = fc.array(
      fc.constantFrom<SandboxView['state']>(
        'creating',
        'running',
        'pausing',
        'paused',
        'failed',
        'destroyed',
      ),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(
        states,
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(fc.nat()),
        async (names, claimed, workers, random) => {
          const view = exampleView({ id: newSandboxId(), team_id: newTeamId(), metadata: { a: '1' } });
          const history = historyOf(view, names);
          const next = (below: number): number => (random.next().value as number) % below;
          const deliveries = history
            .flatMap((transition) => Array.from({ length: 1 + next(3) }, () => transition))
            .map((transition) => ({ transition, order: next(1_000_000) }))
            .sort((a, b) => a.order - b.order)
            .map(({ transition }) => transition);
          if (claimed)
            await records.claimSandbox({
              view: { ...view, seq: 0, state: 'creating' },
              idempotencyKey: 'k',
              requestHash: 'h',
            });
          // Several projectors at once.
          let stored = 0;
          await Promise.all(
            Array.from({ length: workers }, async () => {
              for (let one = deliveries.pop(); one; one = deliveries.pop())
                if (await records.applyTransition(one)) stored += 1;
            }),
          );
          assert.equal(stored, history.length, 'each was new once');
          assert.deepEqual(await records.listTransitions(view.team_id, view.id, 0, 100), history);
          assert.deepEqual(await records.findSandbox(view.team_id, view.id), history.at(-1)?.sandbox);
          const [row] = await sql<{ request_hash: string | null; destroyed_at: string | null }>(
            'select request_hash, destroyed_at from sandboxes where id = ?',
            [view.id],
          );
          assert.equal(row?.request_hash, claimed ? 'h' : null, 'what the create wrote stays');
          assert.equal(row?.destroyed_at !== null, names.at(-1) === 'destroyed');
        },
      ),
      { seed, numRuns: 25 },
    );
    t.pass('for all histories');
  });

  await t.test('what was inferred gives way to what the host told, in any order', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.infiniteStream(fc.nat()),
        async (length, inferredAt, workers, random) => {
          const view = exampleView({ id: newSandboxId(), team_id: newTeamId() });
          const history = historyOf(view, Array<SandboxView['state']>(length).fill('running'));
          const inferred = inferredAt
            .filter((seq) => seq <= length + 1)
            .map((seq) => ({
              ...exampleTransition({ ...view, state: 'failed', updated_at: atSecond(1_000) }, seq),
              cause: LOST,
            }));
          const deliveries = [...history, ...inferred, ...inferred]
            .map((transition) => ({ transition, order: Number(random.next().value) % 1_000_000 }))
            .sort((a, b) => a.order - b.order)
            .map(({ transition }) => transition);
          await Promise.all(
            Array.from({ length: workers }, async () => {
              for (let one = deliveries.pop(); one; one = deliveries.pop())
                await records.applyTransition(one);
            }),
          );
          // One that no host has contradicted stays.
          const kept = [...history, ...inferred.filter(({ seq }) => seq > length)];
          assert.deepEqual(await records.listTransitions(view.team_id, view.id, 0, 100), kept);
          assert.deepEqual(await records.findSandbox(view.team_id, view.id), kept.at(-1)?.sandbox);
        },
      ),
      { seed, numRuns: 40 },
    );
    const view = exampleView({ team_id: newTeamId() });
    const lost = { ...exampleTransition({ ...view, state: 'failed' }, 2), cause: LOST };
    t.equal(await records.applyTransition(lost), true);
    t.equal(await records.applyTransition(lost), false, 'inferred twice');
    t.equal(await records.applyTransition(exampleTransition(view, 2)), true, 'the host has the last word');
    t.equal(await records.applyTransition(lost), false);
    t.equal(await records.applyTransition(exampleTransition(view, 2)), false, 'and has it once');
    t.match(await records.findSandbox(view.team_id, view.id), { state: 'running', seq: 2 });
  });

  await t.test('sandboxes of a host that have not changed', async (t) => {
    const hostId = `h-${newSandboxId()}`;
    const make = async (changes: Partial<SandboxView>): Promise<string> => {
      const view = exampleView({
        team_id: newTeamId(),
        host_id: hostId,
        updated_at: atSecond(1),
        ...changes,
      });
      await records.claimSandbox({ view, idempotencyKey: undefined, requestHash: 'h' });
      return view.id;
    };
    const old = await Promise.all(
      (['creating', 'running', 'paused', 'stranded', 'destroying'] as const).map((state) => make({ state })),
    );
    const newer = await make({ updated_at: atSecond(3) });
    await make({ state: 'failed' });
    await make({ state: 'destroyed' });
    await make({ host_id: `${hostId}x` });
    const since = (seconds: number) => new Date(atSecond(seconds));
    const ids = async (...args: Parameters<typeof records.unchangedSandboxes>): Promise<string[]> =>
      (await records.unchangedSandboxes(...args)).map(({ id }) => id);
    const all = old.toSorted();
    t.same(await ids(hostId, since(3), { limit: 10 }), all, 'those of all teams, by id');
    t.same(await ids(hostId, since(4), { limit: 10 }), [...all, newer].sort());
    t.same(await ids(hostId, since(1), { limit: 10 }), [], 'a change at that time counts');
    t.same(await ids(hostId, since(3), { limit: 2 }), all.slice(0, 2));
    t.same(await ids(hostId, since(3), { limit: 3, afterId: all[1] ?? '' }), all.slice(2));
    t.same(await ids(hostId, since(3), { limit: 3, afterId: all.at(-1) ?? '' }), []);
    t.same(await ids('h-unknown', since(3), { limit: 10 }), []);
    const [first] = await records.unchangedSandboxes(hostId, since(3), { limit: 1 });
    t.same(first, await records.findSandbox(first?.team_id ?? '', first?.id ?? ''), 'as anybody sees it');
  });

  await t.test('pages of transitions', async (t) => {
    const view = exampleView({ team_id: newTeamId() });
    const history = historyOf(view, ['creating', 'running', 'paused', 'running', 'paused']);
    for (const transition of history) await records.applyTransition(transition);
    const numbers = async (afterSeq: number, limit: number): Promise<number[]> =>
      (await records.listTransitions(view.team_id, view.id, afterSeq, limit)).map(({ seq }) => seq);
    t.same(await numbers(0, 2), [1, 2]);
    t.same(await numbers(2, 10), [3, 4, 5]);
    t.same(await numbers(5, 10), []);
  });

  await t.test('pages show every sandbox once while others are made and change', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { minLength: 0, maxLength: 25 }),
        fc.integer({ min: 1, max: 7 }),
        async (seconds, limit) => {
          const teamId = newTeamId();
          const make = async (second: number): Promise<SandboxView> => {
            const view = exampleView({
              id: newSandboxId(),
              team_id: teamId,
              created_at: atSecond(second),
              seq: 0,
            });
            await records.claimSandbox({ view, idempotencyKey: undefined, requestHash: 'h' });
            return view;
          };
          // Few different times, so that many sandboxes share one.
          const before = await Promise.all(seconds.map(make));
          const seen: SandboxView[] = [];
          let cursor: string | null | undefined;
          while (cursor !== null) {
            const page = await records.listSandboxes({ teamId, limit, ...(cursor ? { cursor } : {}) });
            assert.ok(page.items.length <= limit);
            assert.ok(page.nextCursor === null || page.items.length === limit, 'no short page but the last');
            seen.push(...page.items);
            cursor = page.nextCursor;
            await make(100 + seen.length);
            const changed = before[seen.length % Math.max(1, before.length)];
            if (changed) await records.applyTransition(exampleTransition(changed, 1));
          }
          const old = seen.filter(({ created_at }) => created_at < atSecond(100));
          assert.deepEqual(old.map(({ id }) => id).sort(), before.map(({ id }) => id).sort());
          assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length, 'none twice');
          const order = seen.map(({ created_at, id }) => `${created_at} ${id}`);
          assert.deepEqual(order, order.toSorted().reverse(), 'newest first');
        },
      ),
      { seed, numRuns: 15 },
    );
    t.pass('for all teams');
  });

  await t.test('filters', async (t) => {
    const teamId = newTeamId();
    const nasty = { quote: `it's "?" \\ ? :x $1 {} %`, unicode: 'ü😀\u2028', empty: '' };
    const make = async (
      state: SandboxView['state'],
      metadata: Record<string, string>,
    ): Promise<SandboxView> => {
      const view = exampleView({ id: newSandboxId(), team_id: teamId, state, metadata });
      await records.claimSandbox({ view, idempotencyKey: undefined, requestHash: 'h' });
      return view;
    };
    const running = await make('running', { color: 'red', size: '1' });
    const paused = await make('paused', { color: 'red', size: '2' });
    const failed = await make('failed', nasty);
    const destroyed = await make('destroyed', {});
    const ids = async (filter: object): Promise<string[]> =>
      (await records.listSandboxes({ teamId, limit: 10, ...filter })).items.map(({ id }) => id).sort();
    const idsOf = (...views: SandboxView[]): string[] => views.map(({ id }) => id).sort();
    t.same(await ids({}), idsOf(running, paused), 'without those that are no more');
    t.same(await ids({ states: ['destroyed', 'failed'] }), idsOf(failed, destroyed));
    t.same(await ids({ states: [] }), []);
    t.same(await ids({ metadata: { color: 'red' } }), idsOf(running, paused));
    t.same(await ids({ metadata: { color: 'red', size: '2' } }), idsOf(paused), 'all labels');
    t.same(await ids({ metadata: { color: 'blue' } }), []);
    t.same(await ids({ metadata: {} }), idsOf(running, paused));
    t.same(await ids({ metadata: nasty, states: ['failed'] }), idsOf(failed));
    t.same((await records.findSandbox(teamId, failed.id))?.metadata, nasty);
    for (const cursor of ['', 'nonsense', 'e30', Buffer.from('[1,"x"]').toString('base64url')])
      await t.rejects(records.listSandboxes({ teamId, limit: 1, cursor }), { code: 'INVALID_REQUEST' });
    await t.rejects(records.listSandboxes({ teamId, limit: 1, metadata: { a: '\0' } }), {
      code: 'INVALID_REQUEST',
    });
  });

  await t.test('texts of any kind come back as they were', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), { maxKeys: 5 }),
        async (words) => {
          // Keys such as `__proto__` are no labels: the schema of a request refuses them.
          const metadata = Object.fromEntries(Object.entries(words).filter(([key]) => key !== '__proto__'));
          const view = exampleView({ id: newSandboxId(), team_id: newTeamId(), metadata, seq: 0 });
          const storable = !JSON.stringify(metadata).includes('\\u0000');
          const claim = records.claimSandbox({ view, idempotencyKey: undefined, requestHash: 'h' });
          if (!storable) return await assert.rejects(claim, { code: 'INVALID_REQUEST' });
          await claim;
          assert.deepEqual(await records.findSandbox(view.team_id, view.id), view);
        },
      ),
      { seed, numRuns: 60 },
    );
    t.pass('for all labels');
  });

  await t.test('teams do not see each other', async (t) => {
    const [mine, theirs] = [newTeamId(), newTeamId()];
    const view = exampleView({ team_id: theirs });
    await records.applyTransition(exampleTransition(view, 1));
    t.equal(await records.findSandbox(mine, view.id), undefined);
    t.same(await records.listTransitions(mine, view.id, 0, 10), []);
    t.same((await records.listSandboxes({ teamId: mine, limit: 10 })).items, []);

    const forged = exampleTransition({ ...view, team_id: mine, state: 'destroyed' }, 9);
    await records.applyTransition(forged);
    t.match(
      await records.findSandbox(theirs, view.id),
      { state: 'running', seq: 1 },
      'no team takes it over',
    );
    t.equal(await records.findSandbox(mine, view.id), undefined);
    for (const mixed of [
      { ...exampleTransition(view, 5), team_id: mine },
      { ...exampleTransition(view, 5), sandbox_id: newSandboxId() },
      { ...exampleTransition(view, 5), seq: 6 },
    ])
      await t.rejects(records.applyTransition(mixed), { code: 'INVALID_REQUEST' });
    t.match(await records.findSandbox(theirs, view.id), { seq: 1 });
  });

  await t.test('claims', async (t) => {
    const teamId = newTeamId();
    const claim = (view: SandboxView, requestHash = 'one') =>
      records.claimSandbox({ view, idempotencyKey: 'key', requestHash });
    const view = exampleView({ team_id: teamId, state: 'creating', seq: 0 });
    const results = await Promise.all(Array.from({ length: 6 }, () => claim(view)));
    t.equal(results.filter(({ created }) => created).length, 1, 'of many at once one is the first');
    for (const result of results) t.same(result.view, view);
    await t.rejects(claim(view, 'another'), { code: 'IDEMPOTENCY_KEY_REUSED' });

    await records.applyTransition(exampleTransition({ ...view, state: 'running' }, 1));
    t.match(await claim(view), { created: false, view: { state: 'running', seq: 1 } });
    await records.unclaimSandbox(view.id);
    t.ok(await records.findSandbox(teamId, view.id), 'what a host has told of is not taken back');

    const other = exampleView({ team_id: teamId, seq: 0 });
    await claim(other);
    await records.unclaimSandbox(other.id);
    await records.unclaimSandbox(other.id);
    t.equal(await records.findSandbox(teamId, other.id), undefined);
    t.equal((await claim(other, 'another')).created, true, 'the key is free again');

    const rebuilt = exampleView({ team_id: teamId });
    await records.applyTransition(exampleTransition(rebuilt, 1));
    t.match(await claim(rebuilt), { created: false }, 'a record from the stream does not know its request');
    await t.rejects(claim({ ...rebuilt, team_id: newTeamId() }), { code: 'INTERNAL' });
  });

  await t.test('words of a guest that cannot be stored do not stop its history', async (t) => {
    const view = exampleView({ team_id: newTeamId() });
    const transition = exampleTransition(view, 1);
    transition.error = { code: 'GUEST_PROTOCOL', detail: 'nul \0 half \ud83d', causes: ['\0'] };
    transition.sandbox.last_error = { code: 'GUEST_PROTOCOL', detail: 'nul \0' };
    t.equal(await records.applyTransition(transition), true);
    t.match(await records.findSandbox(view.team_id, view.id), { last_error: { detail: 'nul \uFFFD' } });
    t.match(await records.listTransitions(view.team_id, view.id, 0, 1), [
      { error: { detail: 'nul \uFFFD half \uFFFD', causes: ['\uFFFD'] } },
    ]);
    const tooLarge = exampleTransition(view, 2 ** 40);
    await t.rejects(records.applyTransition(tooLarge), { code: 'INVALID_REQUEST' });
  });

  await t.test('hosts', async (t) => {
    const host = { hostId: 'h-1', version: '1', state: 'ready', info: exampleHost('h-1') };
    await records.upsertHost({ ...host, seenAt: new Date(2_000) });
    await records.upsertHost({ ...host, state: 'stopped', seenAt: new Date(3_000) });
    await records.upsertHost({ ...host, state: 'starting', seenAt: new Date(1_000) });
    t.match(await sql(`select state, info from hosts where id = 'h-1'`), [
      { state: 'stopped', info: { host_id: 'h-1' } },
    ]);
  });

  await t.test('a connection that is lost inside a transaction is not lost to the pool', async (t) => {
    const db = openDatabase({ url: postgres.url, clock: systemClock, log: silentLog });
    // More often than the pool has places.
    for (let round = 0; round < 12; round += 1)
      await t.rejects(
        db.transaction((em) => em.execute('select pg_terminate_backend(pg_backend_pid())')),
        { code: 'RECORDS_UNAVAILABLE' },
      );
    t.same(await db.run((em) => em.execute('select 1 as one')), [{ one: 1 }]);
    await db.close();
  });

  await t.test('a statement that takes too long is ended', async (t) => {
    const db = openDatabase({ url: postgres.url, clock: systemClock, log: silentLog });
    await t.rejects(
      db.run((em) => em.execute('select pg_sleep(60)')),
      { code: 'RECORDS_UNAVAILABLE' },
    );
    await db.close();
  });

  await t.test('the server goes and comes back while the records are open', async (t) => {
    const view = exampleView({ team_id: newTeamId() });
    let stop = false;
    let answered = 0;
    const wrong: unknown[] = [];
    let seq = 0;
    const client = async (): Promise<void> => {
      while (!stop)
        await records.applyTransition(exampleTransition(view, ++seq)).then(
          () => {
            answered += 1;
          },
          (error: { code?: unknown }) => {
            if (error.code !== 'RECORDS_UNAVAILABLE') wrong.push(error);
          },
        );
    };
    const clients = Promise.all(Array.from({ length: 12 }, client));
    await until(() => answered > 20, 'the clients are at work');
    await postgres.stop();
    const calls: Array<() => Promise<unknown>> = [
      () => records.ping(),
      () => records.authenticate('aa11'),
      () => records.findSandbox(view.team_id, view.id),
      () => records.listSandboxes({ teamId: view.team_id, limit: 1 }),
      () => records.applyTransition(exampleTransition(view, 1)),
      () => records.unclaimSandbox(view.id),
      () => records.unchangedSandboxes('h-1', new Date(), { limit: 1 }),
      () => records.claimSandbox({ view, idempotencyKey: undefined, requestHash: 'h' }),
      () => records.reserveDisk(view.team_id, view.id, 1),
      () => records.releaseDisk(view.team_id, view.id, { reservedMb: 1, diskSizeMb: 1 }),
      () => records.listAllTemplates(),
      () => records.listTeams(),
      () => records.createTeam({ name: 'x', quota: { sandboxes: 1, vcpus: 1, memoryMb: 1, diskMb: 1 } }),
      () => records.listKeys(view.team_id),
      () => records.listAudit({ limit: 1 }),
    ];
    for (const call of calls) await t.rejects(call(), { code: 'RECORDS_UNAVAILABLE' });
    const before = answered;
    await postgres.start();
    await until(() => answered > before + 20, 'the clients go on');
    stop = true;
    await clients;
    t.same(wrong, []);
    await records.ping();
  });
});

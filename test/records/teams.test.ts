import t from 'tap';
import type { Clock } from '../../src/clock.ts';
import { systemClock } from '../../src/clock.ts';
import { newSandboxId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { openRecords } from '../../src/records/index.ts';
import type { Quota } from '../../src/records/types.ts';
import { exampleTransition, exampleView } from '../support/bus.ts';
import { silentLog } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const UNLIMITED: Quota = { sandboxes: null, vcpus: null, memoryMb: null, diskMb: null };
const NOTHING = { sandboxes: 0, vcpus: 0, memoryMb: 0, diskMb: 0 };
const START_MS = Date.UTC(2026, 5, 1);

t.test('teams and keys', async (t) => {
  const { postgres, sql } = await startTestRecords(t);
  let nowMs = START_MS;
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const records = await openRecords({ url: postgres.url, clock, log: silentLog });
  t.teardown(() => records.close());
  t.beforeEach(async () => {
    nowMs = START_MS;
    await sql('delete from teams where id <> ?', [PLATFORM_TEAM_ID]);
    await sql('truncate sandboxes, templates');
  });

  await t.test('made, listed by name, changed', async (t) => {
    const quota = { sandboxes: 5, vcpus: null, memoryMb: 0, diskMb: 2 ** 31 - 1 };
    const zoo = await records.createTeam({ name: 'zoo', quota });
    const ant = await records.createTeam({ name: 'ant', quota: UNLIMITED });
    const createdAt = new Date(START_MS);
    t.match(zoo, { name: 'zoo', quota, createdAt });
    t.not(zoo.id, (await records.createTeam({ name: 'zoo', quota })).id, 'a name is no identity');
    t.same(
      (await records.listTeams()).map(({ name }) => name),
      ['ant', 'platform', 'zoo', 'zoo'],
    );
    t.same(await records.findTeam(zoo.id), { ...zoo, usage: NOTHING });
    t.equal(await records.findTeam(newTeamId()), undefined);

    const changed = await records.updateTeam(ant.id, { name: 'bee', quota: { vcpus: 3 } });
    t.same(changed, { id: ant.id, name: 'bee', quota: { ...UNLIMITED, vcpus: 3 }, createdAt });
    t.same(await records.updateTeam(ant.id, {}), changed);
    t.same(await records.findTeam(ant.id), { ...changed, usage: NOTHING });
    await t.rejects(records.updateTeam(newTeamId(), { name: 'x' }), { code: 'TEAM_NOT_FOUND' });
    await t.rejects(records.updateTeam(newTeamId(), {}), { code: 'TEAM_NOT_FOUND' });
    for (const name of ['a\0b', '\ud83d']) {
      await t.rejects(records.createTeam({ name, quota }), { code: 'INVALID_REQUEST' });
      await t.rejects(records.updateTeam(ant.id, { name }), { code: 'INVALID_REQUEST' });
    }
  });

  await t.test('what each has', async (t) => {
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => records.createTeam({ name, quota: UNLIMITED })),
    );
    for (const [team, state] of [
      [one, 'running'],
      [one, 'paused'],
      [one, 'failed'],
      [two, 'destroyed'],
      [two, 'creating'],
    ] as const) {
      const sizes = { vcpus: 2, memory_mb: 100, disk_size_mb: 1000 };
      const view = exampleView({ id: newSandboxId(), team_id: team?.id ?? '', state, ...sizes });
      await records.applyTransition(exampleTransition(view, 1));
    }
    const stray = exampleView({ id: newSandboxId(), team_id: newTeamId() });
    await records.applyTransition(exampleTransition(stray, 1));
    t.same(
      (await records.listTeams()).map(({ name, usage }) => [name, usage]),
      [
        ['one', { sandboxes: 2, vcpus: 4, memoryMb: 200, diskMb: 2000 }],
        ['platform', NOTHING],
        ['two', { sandboxes: 1, vcpus: 2, memoryMb: 100, diskMb: 1000 }],
      ],
    );
    t.same((await records.findTeam(one?.id ?? ''))?.usage.sandboxes, 2);
  });

  await t.test('is deleted with its keys, when it has nothing else', async (t) => {
    const { id } = await records.createTeam({ name: 'mine', quota: UNLIMITED });
    await records.createKey({
      teamId: id,
      hash: 'gone',
      prefix: 'dm_',
      name: 'k',
      scopes: [],
      expiresAt: null,
    });
    const view = exampleView({ id: newSandboxId(), team_id: id });
    await records.applyTransition(exampleTransition(view, 1));
    await t.rejects(records.deleteTeam(id), { code: 'TEAM_IN_USE', data: { sandboxes: 1, templates: 0 } });
    await records.applyTransition(exampleTransition({ ...view, state: 'destroyed' }, 2));
    await sql(
      `insert into templates select ?, name, kind, size_mb, allocated_bytes, created_at, id, memory, vcpus, memory_mb, disk_size_mb,
         "user", cwd, env, start_cmd, ready_cmd, source_sandbox_id, host_id, seen_at
       from json_populate_record(null::templates, ?)`,
      [
        id,
        JSON.stringify({
          ...{
            name: 'x',
            kind: 'base',
            size_mb: 1,
            allocated_bytes: 1,
            created_at: 'now',
            id: 't',
            memory: false,
          },
          ...{ vcpus: 1, memory_mb: 1, disk_size_mb: 1, env: {}, host_id: 'h', seen_at: 'now' },
        }),
      ],
    );
    await t.rejects(records.deleteTeam(id), { code: 'TEAM_IN_USE', data: { sandboxes: 0, templates: 1 } });
    t.ok(await records.authenticate('gone'), 'all is as before');
    await sql('truncate templates');
    await records.deleteTeam(id);
    t.equal(await records.findTeam(id), undefined);
    t.equal(await records.authenticate('gone'), undefined);
    t.match(await records.findSandbox(id, view.id), { state: 'destroyed' }, 'what it had can be looked up');
    await t.rejects(records.deleteTeam(id), { code: 'TEAM_NOT_FOUND' });
    await t.rejects(records.deleteTeam(PLATFORM_TEAM_ID), { code: 'TEAM_IN_USE' });
  });

  await t.test('a team is deleted, or gets a key; never half of both', async (t) => {
    for (let round = 0; round < 10; round += 1) {
      const { id } = await records.createTeam({ name: 'x', quota: UNLIMITED });
      const key = { teamId: id, hash: `race-${round}`, prefix: 'p', name: 'k', scopes: [], expiresAt: null };
      const [deleted, made] = await Promise.allSettled([records.deleteTeam(id), records.createKey(key)]);
      t.equal(deleted.status, 'fulfilled');
      if (made.status === 'rejected') t.match(made.reason, { code: 'TEAM_NOT_FOUND' });
      t.equal(await records.authenticate(key.hash), undefined);
    }
  });

  await t.test('keys', async (t) => {
    const { id: teamId } = await records.createTeam({ name: 'mine', quota: UNLIMITED });
    const { id: other } = await records.createTeam({ name: 'other', quota: UNLIMITED });
    const make = (hash: string, expiresAt: Date | null = null) =>
      records.createKey({
        teamId,
        hash,
        prefix: hash.slice(0, 3),
        name: `${hash}!`,
        scopes: ['read'],
        expiresAt,
      });
    const expiresAt = new Date(START_MS + 60_000);
    const first = await make('first');
    nowMs += 1_000;
    const second = await make('second', expiresAt);
    t.same(second, {
      id: second.id,
      teamId,
      name: 'second!',
      prefix: 'sec',
      scopes: ['read'],
      createdAt: new Date(START_MS + 1_000),
      lastUsedAt: null,
      expiresAt,
      revokedAt: null,
    });
    t.same(await records.listKeys(teamId), [second, first], 'newest first');
    t.same(await records.listKeys(other), []);
    t.same(await records.listKeys(newTeamId()), []);
    t.notMatch(JSON.stringify(await records.listKeys(teamId)), /"hash"|"first"/, 'without their hashes');

    t.same(await records.authenticate('second'), {
      keyId: second.id,
      keyName: second.name,
      teamId,
      scopes: ['read'],
      expiresAt,
    });
    nowMs = expiresAt.getTime() - 1;
    t.ok(await records.authenticate('second'), 'until its time is over');
    nowMs += 1;
    t.equal(await records.authenticate('second'), undefined, 'expired');
    t.ok(await records.authenticate('first'));

    await t.rejects(records.revokeKey(other, first.id), { code: 'KEY_NOT_FOUND' });
    await t.rejects(records.revokeKey(teamId, newTeamId()), { code: 'KEY_NOT_FOUND' });
    t.ok(await records.authenticate('first'), 'another team cannot do it');
    const revokedAt = new Date(nowMs);
    t.match(await records.revokeKey(teamId, first.id), { id: first.id, revokedAt });
    t.equal(await records.authenticate('first'), undefined);
    nowMs += 1_000;
    t.match(await records.revokeKey(teamId, first.id), { revokedAt }, 'its time stays');
    t.equal((await records.listKeys(teamId)).length, 2, 'all are listed');

    await t.rejects(
      records.createKey({
        teamId: newTeamId(),
        hash: 'x',
        prefix: 'x',
        name: 'x',
        scopes: [],
        expiresAt: null,
      }),
      { code: 'TEAM_NOT_FOUND' },
    );
    await t.rejects(
      records.createKey({ teamId, hash: 'x', prefix: 'x', name: '\0', scopes: [], expiresAt: null }),
      { code: 'INVALID_REQUEST' },
    );
  });

  await t.test('when a key was last used', async (t) => {
    const own = await openRecords({ url: postgres.url, clock, log: silentLog });
    const { id: teamId } = await own.createTeam({ name: 'mine', quota: UNLIMITED });
    await own.createKey({ teamId, hash: 'seen', prefix: 'p', name: 'k', scopes: ['admin'], expiresAt: null });
    nowMs += 5_000;
    await own.authenticate('seen');
    // Closing waits for what is being written.
    await own.close();
    t.match(await records.listKeys(teamId), [{ lastUsedAt: new Date(START_MS + 5_000) }]);
  });
});

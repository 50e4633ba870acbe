import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { systemClock } from '../../src/clock.ts';
import { DormouseError, hasCode } from '../../src/errors/index.ts';
import { newSandboxId } from '../../src/ids.ts';
import { openRecords } from '../../src/records/index.ts';
import type { NewSandboxRecord, Quota, Records } from '../../src/records/types.ts';
import { exampleTransition, exampleView } from '../support/bus.ts';
import { silentLog } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

const UNLIMITED: Quota = { sandboxes: null, vcpus: null, memoryMb: null, diskMb: null };

/** A planned sandbox of the team: 1 vCPU, 256 MiB, 20480 MiB of disk, or what `changes` says. */
const planned = (teamId: string, changes: Partial<SandboxView> = {}): NewSandboxRecord => ({
  view: exampleView({ id: newSandboxId(), team_id: teamId, state: 'creating', seq: 0, ...changes }),
  idempotencyKey: undefined,
  requestHash: 'h',
});
const several = (count: number, teamId: string, changes: Partial<SandboxView> = {}): NewSandboxRecord[] =>
  Array.from({ length: count }, () => planned(teamId, changes));

/** How many of the calls succeeded; all others must have been refused for the quota. */
async function successes(calls: Array<Promise<unknown>>): Promise<number> {
  const results = await Promise.allSettled(calls);
  for (const result of results)
    if (result.status === 'rejected' && !hasCode(result.reason, 'QUOTA_EXCEEDED')) throw result.reason;
  return results.filter(({ status }) => status === 'fulfilled').length;
}

t.test('quotas', async (t) => {
  const { records, postgres } = await startTestRecords(t);
  const another = async (): Promise<Records> => {
    const own = await openRecords({ url: postgres.url, clock: systemClock, log: silentLog });
    t.teardown(() => own.close());
    return own;
  };
  // Several processes, each with connections of its own.
  const processes = [records, await another(), await another()];
  const at = (index: number): Records => processes[index % processes.length] ?? records;
  const team = async (quota: Partial<Quota> = {}): Promise<string> =>
    (await records.createTeam({ name: 'a team', quota: { ...UNLIMITED, ...quota } })).id;
  const usage = async (teamId: string) => (await records.findTeam(teamId))?.usage;

  await t.test('each part of one is counted, and the error tells all of it', async (t) => {
    const cases: Array<[Partial<Quota>, string, number, string]> = [
      [
        { sandboxes: 2 },
        'sandboxes',
        1,
        'The team may have 2 sandboxes; it has 2, and 1 more was asked for.',
      ],
      [{ vcpus: 9 }, 'vcpus', 4, 'The team may have 9 vCPUs; it has 8, and 4 more were asked for.'],
      [
        { memoryMb: 2999 },
        'memory_mb',
        1000,
        'The team may have 2999 MiB of memory; it has 2000, and 1000 more',
      ],
      [{ diskMb: 299 }, 'disk_mb', 100, 'The team may have 299 MiB of disk; it has 200, and 100 more were'],
    ];
    for (const [quota, field, asked, words] of cases) {
      const teamId = await team(quota);
      const [limit] = Object.values(quota);
      const wish = { vcpus: 4, memory_mb: 1000, disk_size_mb: 100 };
      for (const record of several(2, teamId, wish)) await records.claimSandbox(record);
      const refused = planned(teamId, wish);
      const error = await records.claimSandbox(refused).catch((thrown: unknown) => thrown);
      if (!(error instanceof DormouseError)) throw new Error('it was not refused');
      t.match(error, { code: 'QUOTA_EXCEEDED', data: { quota: field, used: asked * 2, asked, limit } });
      t.ok(error.detail.startsWith(words), error.detail);
      t.equal(await records.findSandbox(teamId, refused.view.id), undefined, 'nothing is written');
      t.same(await usage(teamId), { sandboxes: 2, vcpus: 8, memoryMb: 2000, diskMb: 200 });
    }
  });

  await t.test('up to the limit, exactly; and none at all with 0', async (t) => {
    const teamId = await team({ sandboxes: 3, vcpus: 3, memoryMb: 768, diskMb: 61_440 });
    for (const record of several(3, teamId)) await records.claimSandbox(record);
    t.same(await usage(teamId), { sandboxes: 3, vcpus: 3, memoryMb: 768, diskMb: 61_440 });
    await t.rejects(records.claimSandbox(planned(teamId)), { code: 'QUOTA_EXCEEDED' });
    await t.rejects(records.claimSandbox(planned(await team({ sandboxes: 0 }))), { code: 'QUOTA_EXCEEDED' });
  });

  await t.test('which states count', async (t) => {
    const teamId = await team({ sandboxes: 1 });
    const record = planned(teamId);
    await records.claimSandbox(record);
    let seq = 0;
    const become = (state: SandboxView['state']) =>
      records.applyTransition(exampleTransition({ ...record.view, state }, ++seq));
    for (const state of ['running', 'paused', 'crashed', 'stranded', 'destroying'] as const) {
      await become(state);
      await t.rejects(records.claimSandbox(planned(teamId)), { code: 'QUOTA_EXCEEDED' }, state);
    }
    await become('destroyed');
    const next = planned(teamId);
    await records.claimSandbox(next);
    await t.rejects(records.claimSandbox(planned(teamId)), { code: 'QUOTA_EXCEEDED' });
    await records.applyTransition(exampleTransition({ ...next.view, state: 'failed' }, 1));
    t.equal((await records.claimSandbox(planned(teamId))).created, true);
  });

  await t.test('a team without a row, or without limits, has none', async (t) => {
    for (const teamId of [newTeamId(), await team()]) {
      const claims = several(30, teamId).map((record, index) => at(index).claimSandbox(record));
      t.equal(await successes(claims), 30);
    }
  });

  await t.test('a repeated claim is answered, however full it is', async (t) => {
    const teamId = await team({ sandboxes: 1 });
    const record = planned(teamId);
    const again = Array.from({ length: 20 }, (_, index) => at(index).claimSandbox(record));
    const results = await Promise.all(again);
    t.equal(results.filter(({ created }) => created).length, 1, 'it is one sandbox');
    await records.updateTeam(teamId, { quota: { sandboxes: 0 } });
    t.equal((await records.claimSandbox(record)).created, false);
    await t.rejects(records.claimSandbox({ ...record, requestHash: 'other' }), {
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  await t.test('50 claims at once, of several processes: as many as the quota says', async (t) => {
    for (const quota of [{ sandboxes: 10 }, { vcpus: 10 }, { memoryMb: 2560 }, { diskMb: 204_800 }]) {
      const teamId = await team(quota);
      const claims = several(50, teamId).map((record, index) => at(index).claimSandbox(record));
      t.equal(await successes(claims), 10, JSON.stringify(quota));
      t.equal((await usage(teamId))?.sandboxes, 10);
    }
  });

  await t.test('claims of several: all or none, whoever else asks', async (t) => {
    const teamId = await team({ sandboxes: 10 });
    const tooMany = several(11, teamId);
    await t.rejects(records.claimSandboxes(tooMany), {
      code: 'QUOTA_EXCEEDED',
      data: { used: 0, asked: 11, limit: 10 },
    });
    t.same(await usage(teamId), { sandboxes: 0, vcpus: 0, memoryMb: 0, diskMb: 0 });
    const forks = Array.from({ length: 20 }, () => several(4, teamId));
    t.equal(await successes(forks.map((each, index) => at(index).claimSandboxes(each))), 2);
    t.equal((await usage(teamId))?.sandboxes, 8);

    const order = several(2, teamId);
    const claimed = await records.claimSandboxes(order);
    t.same(claimed, { created: true, views: order.map(({ view }) => view) }, 'they come in their order');
    t.same(await records.claimSandboxes(order.toReversed()), {
      created: false,
      views: order.map(({ view }) => view).reverse(),
    });
  });

  await t.test('of those that are there in part, only the others are new', async (t) => {
    const teamId = await team({ sandboxes: 3 });
    const forks = several(3, teamId);
    await records.claimSandboxes(forks);
    const [, gone] = forks;
    await records.unclaimSandbox(gone?.view.id ?? '');
    t.equal((await usage(teamId))?.sandboxes, 2, 'what is taken back gives its share back');
    t.equal((await records.claimSandboxes(forks)).created, true);
    await records.unclaimSandbox(gone?.view.id ?? '');
    await records.claimSandbox(planned(teamId));
    await t.rejects(records.claimSandboxes(forks), {
      code: 'QUOTA_EXCEEDED',
      data: { used: 3, asked: 1, limit: 3 },
    });
    const other = { ...planned(teamId), view: forks[0]?.view ?? exampleView(), requestHash: 'other' };
    const mixed = [planned(newTeamId()), other];
    await t.rejects(records.claimSandboxes(mixed), { code: 'IDEMPOTENCY_KEY_REUSED' });
    const [free] = mixed;
    t.equal(
      await records.findSandbox(free?.view.team_id ?? '', free?.view.id ?? ''),
      undefined,
      'none at all',
    );
  });

  await t.test(
    'claims of the same sandboxes and teams, in any order, do not wait for each other for ever',
    async (t) => {
      const teams = [newTeamId(), await team({ sandboxes: 1000 }), await team({ sandboxes: 1000 })];
      const all = teams.flatMap((teamId) => several(4, teamId));
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.shuffledSubarray(all, { minLength: 2 }), { minLength: 10, maxLength: 16 }),
          async (orders) => {
            await Promise.all(orders.map((order, index) => at(index).claimSandboxes(order)));
            for (const { view } of all) await records.unclaimSandbox(view.id);
          },
        ),
        { seed, numRuns: 8 },
      );
      t.pass('for all orders');
    },
  );

  await t.test('a disk that grows', async (t) => {
    const teamId = await team({ diskMb: 1_000 });
    const record = planned(teamId, { disk_size_mb: 400 });
    const { id } = record.view;
    await records.claimSandbox(record);
    t.equal(await records.reserveDisk(teamId, id, 700), 400);
    t.equal((await usage(teamId))?.diskMb, 700);
    t.match(await records.findSandbox(teamId, id), { disk_size_mb: 400 }, 'it is not that large yet');
    await t.rejects(records.reserveDisk(teamId, id, 1_001), {
      code: 'QUOTA_EXCEEDED',
      data: { quota: 'disk_mb', used: 700, asked: 301, limit: 1_000 },
    });
    t.equal((await usage(teamId))?.diskMb, 700, 'nothing has changed');

    await records.applyTransition(exampleTransition(record.view, 1));
    t.equal((await usage(teamId))?.diskMb, 700, 'an event of before does not take it away');
    t.equal(await records.reserveDisk(teamId, id, 500), 700);
    t.equal((await usage(teamId))?.diskMb, 700, 'a second one takes nothing of the first');
    await records.releaseDisk(teamId, id, { reservedMb: 500, diskSizeMb: 400 });
    t.equal((await usage(teamId))?.diskMb, 700, 'nor does its end');
    await records.releaseDisk(newTeamId(), id, { reservedMb: 700, diskSizeMb: 400 });
    t.equal((await usage(teamId))?.diskMb, 700, 'nor does another team');
    await records.releaseDisk(teamId, id, { reservedMb: 700, diskSizeMb: 400 });
    t.equal((await usage(teamId))?.diskMb, 400, 'it can be given back');
    await records.reserveDisk(teamId, id, 900);
    await records.applyTransition(exampleTransition({ ...record.view, disk_size_mb: 900 }, 2));
    await records.releaseDisk(teamId, id, { reservedMb: 900, diskSizeMb: 100 });
    t.equal((await usage(teamId))?.diskMb, 900, 'what its host says counts');

    await records.updateTeam(teamId, { quota: { diskMb: 500 } });
    t.equal(await records.reserveDisk(teamId, id, 900), 900, 'nothing is added to what is there');
    await t.rejects(records.reserveDisk(teamId, id, 901), { code: 'QUOTA_EXCEEDED' });

    await t.rejects(records.reserveDisk(newTeamId(), id, 900), { code: 'SANDBOX_NOT_FOUND' });
    await t.rejects(records.reserveDisk(teamId, newSandboxId(), 900), { code: 'SANDBOX_NOT_FOUND' });
    await records.applyTransition(exampleTransition({ ...record.view, state: 'destroyed' }, 3));
    await t.rejects(records.reserveDisk(teamId, id, 900), { code: 'SANDBOX_NOT_FOUND' });
    t.equal((await usage(teamId))?.diskMb, 0);
  });

  await t.test('disks that grow at once, while sandboxes are made', async (t) => {
    const teamId = await team({ diskMb: 2_000 });
    const sandboxes = several(10, teamId, { disk_size_mb: 100 });
    await records.claimSandboxes(sandboxes);
    const growing = [...sandboxes, ...sandboxes].map(({ view }, index) =>
      at(index).reserveDisk(teamId, view.id, 300),
    );
    const made = several(10, teamId, { disk_size_mb: 200 }).map((record, index) =>
      at(index).claimSandbox(record),
    );
    await successes([...growing, ...made]);
    t.equal((await usage(teamId))?.diskMb, 2_000, 'all of it is used, and not more');
  });

  await t.test(
    'a quota that is lowered leaves what is there, and its parts that are not named',
    async (t) => {
      const teamId = await team({ sandboxes: 5, vcpus: 50 });
      await records.claimSandboxes(several(4, teamId));
      const lowered = await records.updateTeam(teamId, { quota: { sandboxes: 2 } });
      t.same(lowered.quota, { ...UNLIMITED, sandboxes: 2, vcpus: 50 });
      t.equal((await usage(teamId))?.sandboxes, 4);
      await t.rejects(records.claimSandbox(planned(teamId)), {
        code: 'QUOTA_EXCEEDED',
        data: { used: 4, asked: 1, limit: 2 },
      });
      await records.updateTeam(teamId, { quota: { sandboxes: null } });
      await records.claimSandbox(planned(teamId));
    },
  );

  await t.test('any claims, reservations and ends at once keep within the quota', async (t) => {
    const step = fc.record({
      what: fc.constantFrom('claim', 'fork', 'grow', 'destroy', 'unclaim'),
      vcpus: fc.integer({ min: 1, max: 3 }),
      memory_mb: fc.constantFrom(96, 200, 300),
      disk_size_mb: fc.constantFrom(64, 100, 150),
      pick: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const quota = { sandboxes: 8, vcpus: 12, memoryMb: 1_500, diskMb: 900 };
        const teamId = await team(quota);
        const made: SandboxView[] = [];
        const run = async (
          record: Records,
          { what, pick, ...sizes }: (typeof steps)[number],
        ): Promise<void> => {
          if (what === 'claim') made.push((await record.claimSandbox(planned(teamId, sizes))).view);
          if (what === 'fork') made.push(...(await record.claimSandboxes(several(3, teamId, sizes))).views);
          const some = made[pick % Math.max(1, made.length)];
          if (!some) return;
          if (what === 'grow') await record.reserveDisk(teamId, some.id, sizes.disk_size_mb * 2);
          if (what === 'destroy')
            await record.applyTransition(exampleTransition({ ...some, state: 'destroyed' }, 1));
          if (what === 'unclaim') await record.unclaimSandbox(some.id);
        };
        const results = await Promise.allSettled(steps.map((each, index) => run(at(index), each)));
        for (const result of results)
          if (result.status === 'rejected')
            assert.match(String(result.reason), /QUOTA_EXCEEDED|SANDBOX_NOT_FOUND/);
        const used = await usage(teamId);
        assert.ok(used);
        for (const part of Object.keys(quota) as Array<keyof typeof quota>)
          assert.ok(used[part] <= quota[part], `${part} ${used[part]}`);
      }),
      { seed, numRuns: 10 },
    );
    t.pass('for all of them');
  });
});

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { MikroORM } from '@mikro-orm/postgresql';
import t from 'tap';
import { systemClock } from '../../src/clock.ts';
import { migrations } from '../../src/entities/migrations/index.ts';
import { PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { openRecords } from '../../src/records/index.ts';
import { LOCK_KEY, migrate } from '../../src/records/migrate.ts';
import { ormOptions, patient } from '../../src/records/orm.ts';
import type { TemplateRecord } from '../../src/records/types.ts';
import { silentLog, until } from '../support/nats.ts';
import { startTestPostgres } from '../support/postgres.ts';

t.test('migrations', async (t) => {
  const postgres = await startTestPostgres(t);
  const { url } = postgres;
  const orm = new MikroORM({ ...ormOptions(url), driverOptions: patient(url) });
  t.teardown(() => orm.close(true));
  const sql = <T = Record<string, unknown>>(query: string): Promise<T[]> =>
    orm.em.getConnection().execute(query);
  const tables = async (): Promise<unknown[]> =>
    (
      await sql(
        `select table_name as name from information_schema.tables where table_schema = 'public' order by name`,
      )
    ).map(({ name }) => name);
  const OURS = ['api_keys', 'audit_log', 'hosts', 'sandboxes', 'teams', 'templates', 'transitions'];

  await t.test('processes that start at once all succeed, and each migration is applied once', async (t) => {
    await Promise.all(Array.from({ length: 4 }, () => migrate(url, silentLog)));
    t.same(await tables(), ['mikro_orm_migrations', ...OURS].sort());
    t.equal((await sql('select * from mikro_orm_migrations')).length, migrations.length);
  });

  await t.test('the schema is what the entities say', async (t) => {
    t.same(await orm.schema.getUpdateSchemaMigrationSQL({ wrap: false }), { up: '', down: '' });
    t.same(
      await sql(
        `select column_default, is_nullable from information_schema.columns where table_name = 'sandboxes' and column_name = 'disk_size_mb'`,
      ),
      [{ column_default: '20480', is_nullable: 'NO' }],
    );
  });

  await t.test('the platform has its team', async (t) => {
    t.same(await sql('select id, name from teams'), [{ id: PLATFORM_TEAM_ID, name: 'platform' }]);
  });

  await t.test('down to nothing and up again', async (t) => {
    await orm.migrator.down({ to: 0 });
    t.same(await tables(), ['mikro_orm_migrations']);
    await migrate(url, silentLog);
    t.same(await tables(), ['mikro_orm_migrations', ...OURS].sort());
    t.same(await orm.schema.getUpdateSchemaMigrationSQL({ wrap: false }), { up: '', down: '' });
  });

  await t.test('what an older version wrote is there in the new form', async (t) => {
    await orm.migrator.down({ to: 'Migration20261126000000_host_index' });
    t.notOk((await tables()).includes('audit_log'), 'the database is the one of before');
    await sql(`insert into templates (team_id, name, kind, size_mb, allocated_bytes, created_at) values
      ('${PLATFORM_TEAM_ID}', 'minimal', 'base', 64, 4398046511104, '2026-01-02T03:04:05Z'),
      ('${PLATFORM_TEAM_ID}', 'large', 'base', 30000, 5, '2026-01-02T03:04:05Z')`);
    await sql(`insert into teams (id, name) values ('11111111-1111-4111-8111-111111111111', 'old')`);
    await sql(`insert into api_keys (id, team_id, hash, prefix, name, scopes) values
      ('22222222-2222-4222-8222-222222222222', '11111111-1111-4111-8111-111111111111', 'aa', 'dm_', 'k', '{read}')`);
    await sql(`insert into sandboxes (id, team_id, template, state, vcpus, memory_mb, disk_size_mb, timeout_s, on_timeout,
        auto_resume, metadata, allowed, seq, execution, created_at, updated_at)
      select 'sb-' || n, '11111111-1111-4111-8111-111111111111', 'minimal', state, 2, 300, 1000, 0, 'pause', false, '{}', '{}',
        1, 1, now(), now()
      from unnest(array['running', 'paused', 'destroyed']) with ordinality as s (state, n)`);
    await migrate(url, silentLog);
    t.same(await orm.schema.getUpdateSchemaMigrationSQL({ wrap: false }), { up: '', down: '' });

    const records = await openRecords({ url, clock: systemClock, log: silentLog });
    t.teardown(() => records.close());
    const before: TemplateRecord = {
      id: 'minimal',
      teamId: PLATFORM_TEAM_ID,
      name: 'minimal',
      kind: 'base',
      memory: false,
      sizeMb: 64,
      allocatedBytes: 2 ** 42,
      vcpus: 1,
      memoryMb: 512,
      diskSizeMb: 20_480,
      user: null,
      cwd: null,
      env: {},
      startCmd: null,
      readyCmd: null,
      sourceSandboxId: null,
      hostId: '',
      createdAt: new Date('2026-01-02T03:04:05Z'),
    };
    t.same(await records.listAllTemplates(), [
      { ...before, id: 'large', name: 'large', sizeMb: 30_000, allocatedBytes: 5, diskSizeMb: 30_000 },
      before,
    ]);
    const told = { ...before, hostId: 'h-a', id: 't-1', createdAt: new Date(1_000) };
    await records.upsertTemplate(told, new Date(1_000));
    t.same(
      await records.findTemplate(PLATFORM_TEAM_ID, 'minimal'),
      told,
      'what a host tells takes its place',
    );
    const old = await records.findTeam('11111111-1111-4111-8111-111111111111');
    t.match(old, { name: 'old', quota: { sandboxes: null, vcpus: null, memoryMb: null, diskMb: null } });
    t.same(old?.usage, { sandboxes: 2, vcpus: 4, memoryMb: 600, diskMb: 2_000 });
    t.match(await records.authenticate('aa'), { teamId: old?.id });
  });

  await t.test('a process that waits for the lock gets it from one that dies', async (t) => {
    const connection = orm.em.getConnection();
    const death = new AbortController();
    const holding = connection
      .getClient()
      .transaction()
      .execute(async (held) => {
        await connection.execute('select pg_advisory_xact_lock(?)', [LOCK_KEY], 'all', held);
        await once(death.signal, 'abort');
      });
    const locks = (granted: boolean) =>
      sql<{ pid: number }>(`select pid from pg_locks where locktype = 'advisory' and granted = ${granted}`);
    await until(async () => (await locks(true)).length === 1, 'somebody holds the lock');
    let done = false;
    const waiting = migrate(url, silentLog).then(() => {
      done = true;
    });
    await until(async () => (await locks(false)).length === 1, 'another one waits for it');
    t.equal(done, false);
    const [holder] = await locks(true);
    await sql(`select pg_terminate_backend(${holder?.pid})`);
    await waiting;
    death.abort();
    await t.rejects(holding);
  });

  await t.test('nothing is written beside the migrations', async (t) => {
    const folder = path.join(import.meta.dirname, '..', '..', 'src', 'entities', 'migrations');
    t.same(
      readdirSync(folder).filter((name) => !name.endsWith('.ts')),
      [],
    );
  });

  await t.test('a database that is not there', async (t) => {
    const options = { clock: systemClock, log: silentLog };
    await t.rejects(openRecords({ url: url.replace('/dormouse?', '/another?'), ...options }), {
      code: 'RECORDS_UNAVAILABLE',
    });
    await t.rejects(openRecords({ url: 'postgresql://dormouse@127.0.0.1:1/dormouse', ...options }), {
      code: 'RECORDS_UNAVAILABLE',
    });
    for (const wrong of ['mysql://host/name', 'postgresql://host', 'not a url']) {
      await t.rejects(openRecords({ url: wrong, ...options }), { code: 'CONFIG_INVALID' });
    }
  });
});

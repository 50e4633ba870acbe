import t from 'tap';
import { PLATFORM_TEAM_ID } from '../../src/ids.ts';
import type { TemplateRecord } from '../../src/records/types.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const template = (changes: Partial<TemplateRecord> = {}): TemplateRecord => ({
  id: 't-1',
  teamId: PLATFORM_TEAM_ID,
  name: 'minimal',
  kind: 'base',
  memory: false,
  sizeMb: 64,
  allocatedBytes: 2 ** 41,
  vcpus: 1,
  memoryMb: 512,
  diskSizeMb: 20_480,
  user: null,
  cwd: null,
  env: {},
  startCmd: null,
  readyCmd: null,
  sourceSandboxId: null,
  hostId: 'h-a',
  createdAt: new Date(1_000),
  ...changes,
});
const at = (seconds: number): Date => new Date(seconds * 1_000);

t.test('templates', async (t) => {
  const { records, sql } = await startTestRecords(t);
  t.beforeEach(() => sql('truncate templates'));

  await t.test('all of one comes back', async (t) => {
    const teamId = newTeamId();
    const all = template({
      teamId,
      kind: 'snapshot',
      memory: true,
      user: 'dev',
      cwd: '/srv',
      env: { QUOTES: `it's "?" $1`, EMPTY: '' },
      startCmd: 'serve &',
      readyCmd: 'curl localhost',
      sourceSandboxId: 'sb-aaaaaaaaaaaaaaaaaaaa',
    });
    await records.upsertTemplate(all, at(1));
    t.same(await records.findTemplate(teamId, 'minimal'), all);
    await records.upsertTemplate(template({ teamId }), at(2));
    t.same(
      await records.findTemplate(teamId, 'minimal'),
      template({ teamId }),
      'and nothing stays of the one before',
    );
    await records.upsertTemplate(template({ teamId, cwd: '/a\0b' }), at(3));
    t.match(
      await records.findTemplate(teamId, 'minimal'),
      { cwd: '/a\uFFFDb' },
      'what cannot be stored is replaced',
    );
  });

  await t.test('an older word of its host changes nothing', async (t) => {
    const find = async () => (await records.findTemplate(PLATFORM_TEAM_ID, 'minimal'))?.id;
    await records.upsertTemplate(template({ id: 't-2' }), at(20));
    await records.upsertTemplate(template({ id: 't-1' }), at(19));
    t.equal(await find(), 't-2');
    await records.upsertTemplate(template({ id: 't-3' }), at(20));
    t.equal(await find(), 't-3', 'of the same time, the last one counts');
    await records.upsertTemplate(template({ id: 't-4', hostId: 'h-b' }), at(5));
    t.equal(await find(), 't-4', 'the clock of another host says nothing');

    await records.removeTemplate('h-b', PLATFORM_TEAM_ID, 'minimal', at(4));
    t.equal(await find(), 't-4', 'it was told of after that');
    await records.removeTemplate('h-a', PLATFORM_TEAM_ID, 'minimal', at(100));
    t.equal(await find(), 't-4', 'it is the other host that has it');
    await records.removeTemplate('h-b', PLATFORM_TEAM_ID, 'other', at(100));
    await records.removeTemplate('h-b', newTeamId(), 'minimal', at(100));
    t.equal(await find(), 't-4');
    await records.removeTemplate('h-b', PLATFORM_TEAM_ID, 'minimal', at(5));
    t.equal(await find(), undefined);
    await records.removeTemplate('h-b', PLATFORM_TEAM_ID, 'minimal', at(5));
  });

  await t.test('of many words at once the newest stays', async (t) => {
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        records.upsertTemplate(template({ id: `t-${index}`, sizeMb: index }), at(index)),
      ),
    );
    t.match(await records.findTemplate(PLATFORM_TEAM_ID, 'minimal'), { id: 't-39', sizeMb: 39 });
  });

  await t.test('who sees which', async (t) => {
    const [mine, theirs] = [newTeamId(), newTeamId()].sort() as [string, string];
    for (const [teamId, name, kind] of [
      [PLATFORM_TEAM_ID, 'python', 'base'],
      [PLATFORM_TEAM_ID, 'minimal', 'base'],
      [mine, 'python', 'snapshot'],
      [mine, 'zeta', 'base'],
      [theirs, 'secret', 'snapshot'],
      [theirs, 'minimal', 'base'],
    ] as const)
      await records.upsertTemplate(template({ teamId, name, kind }), at(1));
    const names = (found: TemplateRecord[]): string[] =>
      found.map(
        ({ teamId, name }) =>
          `${teamId === PLATFORM_TEAM_ID ? 'platform' : teamId === mine ? 'mine' : 'theirs'} ${name}`,
      );
    t.same(names(await records.listTemplates(mine)), [
      'platform minimal',
      'platform python',
      'mine python',
      'mine zeta',
    ]);
    t.same(names(await records.listTemplates(mine, 'snapshot')), ['mine python']);
    t.same(names(await records.listTemplates(newTeamId(), 'base')), ['platform minimal', 'platform python']);
    t.same(names(await records.listAllTemplates()), [
      'platform minimal',
      'platform python',
      'mine python',
      'mine zeta',
      'theirs minimal',
      'theirs secret',
    ]);
    t.same(names(await records.listAllTemplates('snapshot')), ['mine python', 'theirs secret']);
    t.match(await records.findTemplate(mine, 'python'), { teamId: mine }, "the team's own comes first");
    t.match(await records.findTemplate(theirs, 'python'), { teamId: PLATFORM_TEAM_ID });
    t.equal(await records.findTemplate(mine, 'secret'), undefined);
    t.equal(await records.findTemplate(PLATFORM_TEAM_ID, 'zeta'), undefined);
  });
});

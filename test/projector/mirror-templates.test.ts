import t, { type Test } from 'tap';
import {
  type HostInfo,
  hostCommands,
  type TemplateDetails,
  type TemplateInfo,
} from '../../src/actors/host/protocol.ts';
import { hostSubject } from '../../src/bus/subjects.ts';
import { endpoint, type Responder } from '../../src/bus/types.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { newHostId, PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { mirrorTemplates } from '../../src/projector/mirror-templates.ts';
import type { Records, TemplateRecord } from '../../src/records/types.ts';
import { connectTestBus, exampleHost } from '../support/bus.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { silentLog, startTestNats } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';
import { exampleTemplateDetails } from '../support/templates.ts';

const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1_000).toISOString();

t.test('templates of hosts', async (t) => {
  const nats = await startTestNats(t);
  const { records, sql } = await startTestRecords(t);
  const bus = await connectTestBus(t, nats.url);
  t.beforeEach(() => sql('truncate templates'));

  /** A host with templates. What it answers is `has`; what it wrote into the directory, `told`. */
  class FakeHost {
    readonly id = newHostId();
    state: HostInfo['state'] = 'ready';
    has: TemplateDetails[] = [];
    told: TemplateDetails[] | undefined;
    /** Names that it was asked for. */
    readonly asked: string[] = [];
    #responder: Responder | undefined;

    serve(): void {
      this.#responder = bus.serveAll(hostSubject(this.id), [
        endpoint(hostCommands.template, async ({ team_id, name }) => {
          this.asked.push(name);
          const of = (team: string) => this.has.find((one) => one.team_id === team && one.name === name);
          const found = of(team_id) ?? of(PLATFORM_TEAM_ID);
          if (!found) throw new DormouseError('TEMPLATE_NOT_FOUND', `There is no template "${name}".`);
          return found;
        }),
      ]);
    }

    async silence(): Promise<void> {
      await this.#responder?.close();
    }

    /** A template of this host. */
    make(changes: Partial<TemplateDetails> = {}): TemplateDetails {
      const details = exampleTemplateDetails({ host_id: this.id, created_at: at(0), ...changes });
      this.has.push(details);
      return details;
    }

    info(seconds: number): HostInfo {
      const templates = (this.told ?? this.has).map((details): TemplateInfo => {
        const { host_id, user, cwd, env, start_cmd, ready_cmd, source_sandbox_id, ...info } = details;
        return info;
      });
      return { ...exampleHost(this.id), state: this.state, at: at(seconds), templates };
    }
  }

  function startHost(t: Test): FakeHost {
    const host = new FakeHost();
    host.serve();
    t.teardown(() => host.silence());
    return host;
  }

  /** One round over what the hosts have written at this second. Returns how often the records were written to. */
  async function round(seconds: number, ...hosts: FakeHost[]): Promise<number> {
    let writes = 0;
    const watched: Records = {
      ...records,
      upsertTemplate: (template, seenAt) => {
        writes += 1;
        return records.upsertTemplate(template, seenAt);
      },
      removeTemplate: (...args) => {
        writes += 1;
        return records.removeTemplate(...args);
      },
    };
    const { signal } = new AbortController();
    await mirrorTemplates(
      hosts.map((host) => host.info(seconds)),
      { bus, records: watched, clock: fakeClock(), log: silentLog, signal },
    );
    return writes;
  }
  const all = (): Promise<TemplateRecord[]> => records.listAllTemplates();

  await t.test('all of one is asked for once', async (t) => {
    const host = startHost(t);
    const teamId = newTeamId();
    const own = host.make({
      id: 't-own',
      team_id: teamId,
      name: 'python',
      kind: 'snapshot',
      memory: true,
      user: 'dev',
      cwd: '/srv',
      env: { A: 'b' },
      start_cmd: 'serve',
      ready_cmd: 'true',
      source_sandbox_id: 'sb-aaaaaaaaaaaaaaaaaaaa',
    });
    host.make();
    t.equal(await round(1, host), 2);
    t.same(await records.findTemplate(teamId, 'python'), {
      id: 't-own',
      teamId,
      name: 'python',
      kind: 'snapshot',
      memory: true,
      sizeMb: own.size_mb,
      allocatedBytes: own.allocated_bytes,
      vcpus: own.vcpus,
      memoryMb: own.memory_mb,
      diskSizeMb: own.disk_size_mb,
      user: 'dev',
      cwd: '/srv',
      env: { A: 'b' },
      startCmd: 'serve',
      readyCmd: 'true',
      sourceSandboxId: 'sb-aaaaaaaaaaaaaaaaaaaa',
      hostId: host.id,
      createdAt: new Date(own.created_at),
    } satisfies TemplateRecord);
    t.same(host.asked.sort(), ['minimal', 'python']);
    t.equal(await round(2, host), 0, 'nothing is written when nothing is new');
    t.equal(host.asked.length, 2);
  });

  await t.test('sizes are followed without asking', async (t) => {
    const host = startHost(t);
    const template = host.make();
    await round(1, host);
    Object.assign(template, { size_mb: 4_096, allocated_bytes: 2 ** 40, warm: ['1x512x20480'] });
    t.equal(await round(2, host), 1);
    t.match(await all(), [{ sizeMb: 4_096, allocatedBytes: 2 ** 40 }]);
    t.equal(host.asked.length, 1);
    t.equal(await round(3, host), 0);
  });

  await t.test('one that took the name of another is asked for', async (t) => {
    const host = startHost(t);
    host.make({ id: 't-1', user: 'one' });
    await round(1, host);
    host.has = [];
    host.make({ id: 't-2', user: 'two', created_at: at(2) });
    t.equal(await round(2, host), 1);
    t.match(await all(), [{ id: 't-2', user: 'two' }]);
    host.has = [];
    host.make({ id: 't-2', user: 'three', created_at: at(3) });
    await round(3, host);
    t.match(await all(), [{ id: 't-2', user: 'three' }], 'also when it has the same id');
  });

  await t.test('what a host no longer has is forgotten', async (t) => {
    const host = startHost(t);
    const other = startHost(t);
    const teamId = newTeamId();
    host.make({ team_id: teamId });
    other.make({ team_id: teamId, name: 'kept' });
    await round(1, host, other);
    t.equal((await all()).length, 2);
    host.has = [];
    // The platform's of the same name is not the team's.
    other.make({ created_at: at(1) });
    host.make({ created_at: at(2) });
    await round(2, host, other);
    t.match(await all(), [
      { teamId: PLATFORM_TEAM_ID, name: 'minimal', hostId: host.id },
      { teamId, name: 'kept', hostId: other.id },
    ]);
  });

  await t.test('but not while its host is away, starts, or does not answer', async (t) => {
    const host = startHost(t);
    host.make();
    await round(1, host);
    host.has = [];
    await round(2);
    host.state = 'starting';
    await round(3, host);
    host.state = 'stopped';
    await round(4, host);
    t.equal((await all()).length, 1);
    t.equal(host.asked.length, 1);
    host.state = 'draining';
    await host.silence();
    await round(5, host);
    t.equal((await all()).length, 1);
    host.serve();
    await round(6, host);
    t.equal((await all()).length, 0);
  });

  await t.test('an entry that is older than the template does not take it away', async (t) => {
    const host = startHost(t);
    host.told = [];
    const template = host.make();
    await round(1, host);
    t.equal((await all()).length, 0);
    host.told = [template];
    await round(2, host);
    host.told = [];
    await round(1, host);
    t.equal((await all()).length, 1, 'the host has it');
    host.has = [];
    await round(1, host);
    t.equal((await all()).length, 1, 'it was told of later than that');
    await round(3, host);
    t.equal((await all()).length, 0);
  });

  await t.test('an entry that is older than the end of a template does not bring it back', async (t) => {
    const host = startHost(t);
    host.told = [host.make()];
    host.has = [];
    await round(1, host);
    t.same(await all(), []);
  });

  await t.test('of the same name on several hosts the newest counts, and another when it goes', async (t) => {
    const [one, two] = [startHost(t), startHost(t)];
    one.make({ user: 'old' });
    two.make({ user: 'new', created_at: at(10) });
    for (const hosts of [
      [one, two],
      [two, one],
    ]) {
      await round(20, ...hosts);
      t.match(await all(), [{ hostId: two.id, user: 'new' }]);
    }
    two.has = [];
    // Its clock is behind that of the other.
    await round(5, one, two);
    t.match(await all(), [{ hostId: one.id, user: 'old' }]);
    t.equal(await round(6, one, two), 0);
  });

  await t.test('of the same age too, whoever looks sees the same', async (t) => {
    const [one, two] = [startHost(t), startHost(t)];
    for (const host of [one, two]) host.make();
    await round(1, one, two);
    t.equal(await round(1, two, one), 0);
    t.match(await all(), [{ hostId: [one.id, two.id].sort()[0] }]);
  });

  await t.test(
    'a host that is silent is asked once in a round, and does not hold up the others',
    async (t) => {
      const [silent, other] = [startHost(t), startHost(t)];
      for (const name of ['a', 'b', 'c']) silent.make({ name });
      other.make({ name: 'd' });
      await silent.silence();
      await round(1, silent, other);
      t.match(await all(), [{ name: 'd' }]);
      silent.serve();
      await round(2, silent, other);
      t.equal((await all()).length, 4);
    },
  );
});

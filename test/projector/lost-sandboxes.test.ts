import t, { type Test } from 'tap';
import { type HostInfo, hostCommands } from '../../src/actors/host/protocol.ts';
import type { SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { hostSubject } from '../../src/bus/subjects.ts';
import { type Bus, endpoint, type Responder } from '../../src/bus/types.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { newHostId, newSandboxId } from '../../src/ids.ts';
import { runProjector } from '../../src/projector/index.ts';
import { findLostSandboxes } from '../../src/projector/lost-sandboxes.ts';
import type { Records } from '../../src/records/types.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView } from '../support/bus.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const START_MS = Date.UTC(2026, 0, 1, 12);
const secondsBefore = (seconds: number): string => new Date(START_MS - seconds * 1_000).toISOString();
/** Rounds until what no answer names is found lost. */
const ROUNDS = 4;

/** A host on the bus that says what the test lets it say. */
class FakeHost {
  readonly id = newHostId();
  readonly #bus: Bus;
  state: HostInfo['state'] = 'ready';
  /** Ids of the sandboxes that it names. */
  names: string[] = [];
  /** Folders that it has and that no actor has. */
  folders: string[] = [];
  /** Called before it answers with its sandboxes. */
  asked: () => Promise<void> = async () => {};
  /** Called before it answers with its leaks. */
  askedForLeaks: () => Promise<void> = async () => {};
  /** How often it was asked for sandboxes, and for leaks. */
  readonly count = { sandboxes: 0, leaks: 0 };
  #responder: Responder | undefined;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** Writes its entry in the directory, which does not live for long. */
  async announce(): Promise<void> {
    await this.#bus.hosts.announce({ ...exampleHost(this.id), state: this.state });
  }

  serve(): void {
    this.#responder = this.#bus.serveAll(hostSubject(this.id), [
      endpoint(hostCommands.sandboxes, async () => {
        this.count.sandboxes += 1;
        await this.asked();
        return {
          sandboxes: this.names.map((id) => ({ id, team_id: newTeamId(), state: 'running' as const })),
        };
      }),
      endpoint(hostCommands.leaks, async () => {
        this.count.leaks += 1;
        await this.askedForLeaks();
        return {
          leaks: [
            { kind: 'process', name: 'a process', detail: 'It is nobody’s.' },
            ...this.folders.map((name) => ({ kind: 'folder', name, detail: 'Its actor is stopped.' })),
          ],
        };
      }),
    ]);
  }

  async silence(): Promise<void> {
    await this.#responder?.close();
    this.#responder = undefined;
  }

  async leave(): Promise<void> {
    await this.silence();
    await this.#bus.hosts.withdraw(this.id);
  }
}

t.test('lost sandboxes', async (t) => {
  const nats = await startTestNats(t);
  const { records, sql } = await startTestRecords(t);
  const bus = await connectTestBus(t, nats.url);

  const hosts = new Set<FakeHost>();
  const announceAll = async (): Promise<void> => {
    for (const host of hosts) await host.announce();
  };

  /** A host that answers, is `ready`, and leaves with the test. */
  async function startHost(t: Test): Promise<FakeHost> {
    const host = new FakeHost(bus);
    hosts.add(host);
    host.serve();
    await host.announce();
    t.teardown(async () => {
      hosts.delete(host);
      await host.leave();
    });
    return host;
  }

  /** A record of the host's, of which nothing was heard for 241 s, or what `changes` says. */
  async function record(host: FakeHost, changes: Partial<SandboxView> = {}): Promise<SandboxView> {
    const view = exampleView({
      id: newSandboxId(),
      team_id: newTeamId(),
      host_id: host.id,
      updated_at: secondsBefore(241),
      seq: 7,
      ...changes,
    });
    await records.claimSandbox({ view, idempotencyKey: 'k', requestHash: 'h' });
    return view;
  }

  const now = async ({ team_id, id }: SandboxView): Promise<SandboxView | undefined> =>
    await records.findSandbox(team_id, id);
  const isLost = async (view: SandboxView): Promise<boolean> =>
    (await now(view))?.last_error?.code === 'SANDBOX_LOST';

  /** Looks for lost sandboxes on a clock that the test moves. */
  async function start(
    t: Test,
    using: { records?: Records; bus?: Bus } = {},
  ): Promise<{ clock: FakeClock; rounds(count: number): Promise<void> }> {
    const clock = fakeClock(START_MS);
    const stopping = new AbortController();
    const running = findLostSandboxes({
      bus,
      records,
      ...using,
      clock,
      log: silentLog,
      signal: stopping.signal,
    });
    t.teardown(async () => {
      stopping.abort();
      await running;
    });
    const ended = (): Promise<void> => until(() => clock.armed().length === 1, 'a round has ended');
    await ended();
    return {
      clock,
      async rounds(count) {
        for (let round = 0; round < count; round += 1) {
          await announceAll();
          clock.advance(10_000);
          await ended();
        }
      },
    };
  }

  await t.test(
    'a claim that its host was never asked for fails, and so does one that the host lost',
    async (t) => {
      const host = await startHost(t);
      const claim = await record(host, { state: 'creating', seq: 0, allowed: [] });
      const making = await record(host, { state: 'creating', step: 'vm', seq: 3, allowed: [] });
      const running = await record(host, { execution: 2, expires_at: secondsBefore(-900) });
      const kept = await record(host);
      host.names = [kept.id];
      const { rounds } = await start(t);
      await rounds(ROUNDS - 2);
      for (const view of [claim, making, running]) t.equal(await isLost(view), false, 'not at once');
      await rounds(1);
      t.match(await now(claim), {
        state: 'failed',
        seq: 1,
        last_error: { code: 'SANDBOX_LOST', detail: /never asked/ },
      });
      t.match(await now(making), { state: 'failed', step: null, seq: 4, allowed: [] });
      const at = new Date(START_MS + 30_000).toISOString();
      const error = { code: 'SANDBOX_LOST', detail: /lost power/ };
      const after = {
        state: 'failed',
        seq: 8,
        execution: 2,
        updated_at: at,
        expires_at: null,
        last_error: error,
      };
      t.match(await now(running), { ...after, metadata: running.metadata, created_at: running.created_at });
      t.same(await now(kept), kept);

      const told = await records.listTransitions(running.team_id, running.id, 0, 10);
      t.match(told, [{ seq: 8, from: 'running', to: 'failed', cause: 'lost', at, error, sandbox: after }]);
      t.match(await records.listTransitions(making.team_id, making.id, 0, 10), [{ from: 'creating.vm' }]);
      t.same(
        (await records.listSandboxes({ teamId: claim.team_id, limit: 10 })).items,
        [],
        'no list shows it',
      );
      t.match(
        await records.claimSandbox({ view: claim, idempotencyKey: 'k', requestHash: 'h' }),
        { created: false, view: { state: 'failed' } },
        'who asks with its key is told',
      );
      host.count.leaks = 0;
      await rounds(ROUNDS);
      t.equal(host.count.leaks, 0, 'and all is said');
    },
  );

  await t.test('a host is asked only when nothing was heard of a sandbox for long', async (t) => {
    const host = await startHost(t);
    const fresh = await record(host, { updated_at: secondsBefore(180) });
    await record(host, { state: 'destroyed' });
    await record(host, { state: 'failed' });
    const { rounds } = await start(t);
    await rounds(ROUNDS);
    t.equal(host.count.sandboxes, 0);
    await rounds(2);
    t.equal(host.count.sandboxes, 0, '240 s after its last change');
    await rounds(1);
    t.equal(host.count.sandboxes, 1);
    await rounds(ROUNDS - 1);
    t.equal(await isLost(fresh), true);
  });

  await t.test('a host that is drained is asked; one that starts or stops is not', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    const { rounds } = await start(t);
    for (const state of ['starting', 'stopped'] as const) {
      host.state = state;
      const before = host.count.sandboxes;
      await rounds(ROUNDS + 1);
      t.equal(host.count.sandboxes, before, state);
    }
    host.state = 'draining';
    await rounds(ROUNDS);
    t.equal(await isLost(view), true);
  });

  await t.test('a host that does not answer is left out, and counted anew', async (t) => {
    const host = await startHost(t);
    const other = await startHost(t);
    const view = await record(host);
    const elsewhere = await record(other);
    const { rounds } = await start(t);
    await rounds(ROUNDS - 2);
    await host.silence();
    await rounds(2);
    t.equal(await isLost(elsewhere), true, 'the others are asked');
    host.serve();
    await rounds(ROUNDS - 1);
    t.equal(await isLost(view), false);
    await rounds(1);
    t.equal(await isLost(view), true);
  });

  await t.test('one that is named again is not lost', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    const { rounds } = await start(t);
    // Its actor is started again: it is named in between.
    for (let time = 0; time < 3; time += 1) {
      host.names = [];
      await rounds(ROUNDS - 2);
      host.names = [view.id];
      await rounds(1);
    }
    t.same(await now(view), view);
    t.equal(host.count.leaks, 0);
  });

  await t.test('one that is told of meanwhile is counted anew', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    const { rounds } = await start(t);
    await rounds(ROUNDS - 2);
    // The events are far behind: what comes now was long ago, too.
    await records.applyTransition(exampleTransition(view, 8));
    await rounds(2);
    t.match(await now(view), { state: 'running', seq: 8 });
    await rounds(2);
    t.match(await now(view), { state: 'failed', seq: 9 });
  });

  await t.test('one whose folder is there is not lost, and looked at again', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    host.folders = [view.id];
    const { rounds } = await start(t);
    await rounds(ROUNDS + 3);
    t.same(await now(view), view);
    t.equal(host.count.leaks, 1, 'the machine is not looked through each time');
    host.folders = [];
    await rounds(6);
    t.equal(host.count.leaks, 2);
    t.equal(await isLost(view), true);
  });

  await t.test('one whose actor comes back between the questions is not lost', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    host.askedForLeaks = async () => {
      host.names = [view.id];
    };
    const { rounds } = await start(t);
    await rounds(ROUNDS);
    t.same(await now(view), view);
  });

  await t.test('a transition that the host tells wins, before and after', async (t) => {
    const host = await startHost(t);
    const before = await record(host);
    const after = await record(host);
    host.askedForLeaks = async () => {
      await records.applyTransition(exampleTransition({ ...before, state: 'destroyed' }, 8));
    };
    const { rounds } = await start(t);
    await rounds(ROUNDS);
    t.match(await now(before), { state: 'destroyed', seq: 8 });
    t.equal(await isLost(after), true);
    t.equal(await records.applyTransition(exampleTransition(after, 8)), true);
    t.match(await now(after), { state: 'running', seq: 8, last_error: null });
    t.match(await records.listTransitions(after.team_id, after.id, 0, 10), [{ seq: 8, cause: 'ping' }]);
  });

  await t.test('the records are read before the host is asked', async (t) => {
    const host = await startHost(t);
    await record(host);
    const order: string[] = [];
    host.asked = async () => {
      order.push('host');
    };
    const unchangedSandboxes: Records['unchangedSandboxes'] = async (hostId, since, page) => {
      const found = await records.unchangedSandboxes(hostId, since, page);
      if (hostId === host.id) order.push('records');
      return found;
    };
    const { rounds } = await start(t, { records: { ...records, unchangedSandboxes } });
    await rounds(1);
    t.same(order, ['records', 'host', 'records', 'host']);
  });

  await t.test('of two that look, one tells', async (t) => {
    const host = await startHost(t);
    const views = await Promise.all(Array.from({ length: 5 }, () => record(host)));
    const other = await connectTestBus(t, nats.url, { name: 'other' });
    const both = [await start(t), await start(t, { bus: other })];
    await Promise.all(both.map(({ rounds }) => rounds(ROUNDS)));
    for (const view of views) {
      t.equal(await isLost(view), true);
      t.match(await records.listTransitions(view.team_id, view.id, 0, 10), { length: 1 });
    }
  });

  await t.test('failures are made up for by the next rounds', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    let fails = true;
    const away = async (): Promise<never> => {
      throw new DormouseError('RECORDS_UNAVAILABLE', 'The test says so.');
    };
    const { rounds } = await start(t, {
      records: {
        ...records,
        applyTransition: (transition) => (fails ? away() : records.applyTransition(transition)),
      },
      bus: {
        ...bus,
        request: bus.request.bind(bus),
        hosts: { ...bus.hosts, list: () => (fails ? away() : bus.hosts.list()) },
      },
    });
    await rounds(2);
    t.equal(host.count.sandboxes, 0, 'the directory is away');
    fails = false;
    await rounds(ROUNDS - 1);
    fails = true;
    await rounds(1);
    t.equal(await isLost(view), false);
    fails = false;
    await rounds(ROUNDS);
    t.equal(await isLost(view), true);
  });

  await t.test('more than are read at once', async (t) => {
    const host = await startHost(t);
    const view = await record(host, { id: `sb-${'7'.repeat(20)}` });
    const others = 2_001;
    await sql(
      `insert into sandboxes (id, team_id, host_id, template, state, vcpus, memory_mb, timeout_s, on_timeout, auto_resume,
         metadata, allowed, seq, execution, created_at, updated_at)
       select 'sb-' || translate(lpad(i::text, 20, '0'), '0189', 'abcd'), team_id, host_id, template, state, vcpus, memory_mb,
         timeout_s, on_timeout, auto_resume, metadata, allowed, seq, execution, created_at, updated_at
       from sandboxes, generate_series(1, ${others}) i where id = ?`,
      [view.id],
    );
    const rows = await sql<{ id: string }>('select id from sandboxes where host_id = ? order by id', [
      host.id,
    ]);
    t.equal(rows.length, others + 1);
    const missing = rows.filter((_, index) => [0, 999, 1_000, others].includes(index)).map(({ id }) => id);
    host.names = rows.map(({ id }) => id).filter((id) => !missing.includes(id));
    const { rounds } = await start(t);
    await rounds(ROUNDS);
    t.same(
      (
        await sql(`select id from sandboxes where host_id = ? and state = 'failed' order by id`, [host.id])
      ).map(({ id }) => id),
      missing,
    );
  });

  await t.test('the projector looks for them, and ends', async (t) => {
    const host = await startHost(t);
    const view = await record(host);
    const clock = fakeClock(START_MS);
    const stopping = new AbortController();
    const running = runProjector({ bus, records, clock, log: silentLog, signal: stopping.signal });
    await until(async () => {
      await announceAll();
      clock.advance(1_000);
      return await isLost(view);
    }, 'it is found');
    // A host that does not answer does not hold up the end.
    let answer: (() => void) | undefined;
    host.asked = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await record(host);
    await until(async () => {
      await announceAll();
      clock.advance(1_000);
      return answer !== undefined;
    }, 'it is asked');
    stopping.abort();
    await running;
    t.pass('it has ended');
    answer?.();
  });
});

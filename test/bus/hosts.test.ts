import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { connectTestBus, exampleHost } from '../support/bus.ts';
import { startTestNats, until } from '../support/nats.ts';

t.test('the directory of hosts', async (t) => {
  const server = await startTestNats(t);
  const bus = await connectTestBus(t, server.url, { hostTtlMs: 1_500 });
  const ids = async (): Promise<string[]> => (await bus.hosts.list()).map((host) => host.host_id);

  t.same(await bus.hosts.list(), [], 'empty at first');
  await bus.hosts.announce(exampleHost('h-b'));
  await bus.hosts.announce(exampleHost('h-a'));
  await bus.hosts.announce({ ...exampleHost('h-a'), state: 'draining' });
  t.same(await bus.hosts.list(), [{ ...exampleHost('h-a'), state: 'draining' }, exampleHost('h-b')]);

  await bus.hosts.withdraw('h-b');
  await bus.hosts.withdraw('h-never-was');
  t.same(await ids(), ['h-a']);

  const raw = await connect({ servers: server.url });
  t.teardown(() => raw.close());
  const kv = await new Kvm(raw).open('dormouse_hosts');
  await kv.put('h-odd', '{"host_id":"h-odd"}');
  await kv.put('h-worse', '{');
  t.same(await ids(), ['h-a'], 'entries that do not fit the schema are left out');

  const writing = setInterval(() => void bus.hosts.announce(exampleHost('h-lives')), 200);
  t.teardown(() => clearInterval(writing));
  await until(async () => {
    const now = await ids();
    return now.length === 1 && now[0] === 'h-lives';
  }, 'the entry that nobody writes again expires, the other lives');
  clearInterval(writing);
  await until(async () => (await ids()).length === 0, 'and then that one too');
});

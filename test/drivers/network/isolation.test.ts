import { once } from 'node:events';
import net from 'node:net';
import { execa } from 'execa';
import t from 'tap';
import { hostEnd } from '../../../src/drivers/network/namespace/layout.ts';
import { GUEST_GATEWAY } from '../../../src/drivers/network/types.ts';
import { fakeGuest, saysSomething } from '../../support/guest-netns.ts';
import { testNetwork } from '../../support/network.ts';

const signal = new AbortController().signal;
const PORT = 7780;

/** Sends a text to an echo server and gives what comes back. */
async function echo(address: string, text: string): Promise<string> {
  const socket = net.connect(PORT, address);
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

/** Connects, for at most two seconds, and says how that ended: `connected`, or a word for why not. */
const PROBE = `
  const net = require('node:net');
  Promise.all(process.argv.slice(1).map((target) => new Promise((resolve) => {
    const [host, port] = target.split(' ');
    const socket = net.connect(Number(port), host);
    const end = (how) => { socket.destroy(); resolve(how); };
    socket.on('connect', () => end('connected'));
    socket.on('error', (error) => end(error.code));
    setTimeout(() => end('silence'), 2000);
  }))).then((how) => console.log(JSON.stringify(how)));`;

t.test('the host reaches the guest, and the guest nobody', async (t) => {
  const driver = testNetwork(t, 2);
  await driver.start(new Set(), signal);
  const [slot, otherSlot] = [await driver.acquire('sb-a', signal), await driver.acquire('sb-b', signal)];
  const [guest, otherGuest] = [await fakeGuest(t, slot), await fakeGuest(t, otherSlot)];
  for (const one of [guest, otherGuest]) {
    await one.wake();
    await one.serveEcho(PORT);
  }
  t.equal(await echo(slot.address, 'hello'), 'hello', 'host to guest');
  t.equal(await echo(otherSlot.address, 'you too'), 'you too', 'host to the other guest');

  let reached = 0;
  const server = net.createServer((socket) => {
    reached += 1;
    socket.destroy();
  });
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as net.AddressInfo;
  const host = hostEnd(slot.number).address;
  await once(net.connect(port, host), 'close');
  t.equal(reached, 1, 'the server on the host can be reached from the host');

  const targets = [
    `${host} ${port}`,
    `${hostEnd(otherSlot.number).address} ${port}`,
    `${slot.address} ${port}`,
    `${otherSlot.address} ${PORT}`,
    `${GUEST_GATEWAY} ${PORT}`,
    '192.0.2.1 80',
  ];
  const startedMs = performance.now();
  const answers = JSON.parse(await guest.node(PROBE, ...targets)) as string[];
  t.ok(performance.now() - startedMs < 60_000);
  t.same(
    answers,
    targets.map(() => 'EHOSTUNREACH'),
    'all are refused at once',
  );
  t.equal(reached, 1, 'nothing came through');
  t.equal(await echo(slot.address, 'still'), 'still', 'the host still reaches the guest');

  const ping = (address: string) =>
    execa('ip', ['netns', 'exec', guest.name, 'busybox', 'ping', '-c', '1', '-W', '1', address], {
      reject: false,
    });
  t.equal((await ping(GUEST_GATEWAY)).exitCode, 0, 'the gateway answers an echo request');
  for (const address of [host, slot.address, otherSlot.address])
    t.not((await ping(address)).exitCode, 0, `${address} does not`);
});

t.test('it is the rules that refuse', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(new Set(), signal);
  const slot = await driver.acquire('sb-a', signal);
  const guest = await fakeGuest(t, slot);
  await guest.wake();
  const listener = execa(
    'ip',
    [
      'netns',
      'exec',
      slot.namespace,
      process.execPath,
      '-e',
      `require('node:net').createServer().listen(${PORT}, () => console.log('listening'))`,
    ],
    { buffer: false, reject: false },
  );
  t.teardown(async () => {
    listener.kill('SIGKILL');
    await listener;
  });
  await saysSomething(listener);
  t.same(JSON.parse(await guest.node(PROBE, `${GUEST_GATEWAY} ${PORT}`)), ['EHOSTUNREACH']);
  await execa('ip', ['netns', 'exec', slot.namespace, 'nft', 'flush', 'ruleset']);
  t.same(JSON.parse(await guest.node(PROBE, `${GUEST_GATEWAY} ${PORT}`)), ['connected']);
});

t.test('a guest that wakes while packets wait is reached long before they would be sent again', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(new Set(), signal);
  const slot = await driver.acquire('sb-a', signal);
  const guest = await fakeGuest(t, slot);
  // No server: that the guest refuses shows that it was reached. TCP would send its first packet again after 1 s.
  const socket = net.connect(PORT, slot.address);
  const refused = once(socket, 'error').then(() => performance.now());
  await once(socket, 'connectionAttempt');
  await guest.wake();
  const wokenMs = performance.now();
  const waitedMs = (await refused) - wokenMs;
  t.comment(`reached ${waitedMs.toFixed(1)} ms after it woke`);
  t.ok(waitedMs < 900, `${waitedMs} ms`);
});

t.test('a guest may change its MAC address', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(new Set(), signal);
  const slot = await driver.acquire('sb-a', signal);
  const guest = await fakeGuest(t, slot);
  await guest.wake();
  await guest.serveEcho(PORT);
  t.equal(await echo(slot.address, 'one'), 'one');
  for (const mac of ['02:00:00:00:00:aa', '02:00:00:00:00:bb']) {
    await guest.setMac(mac);
    const startedMs = performance.now();
    t.equal(await echo(slot.address, mac), mac);
    const tookMs = performance.now() - startedMs;
    t.comment(`answered ${tookMs.toFixed(1)} ms after the change`);
    t.ok(tookMs < 900, `${tookMs} ms`);
    const { stdout } = await execa('ip', ['-n', slot.namespace, 'neigh', 'show', 'dev', slot.tap]);
    t.match(stdout, mac);
  }
});

t.test('the namespace has the settings that it should', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(new Set(), signal);
  const { namespace } = await driver.acquire('sb-a', signal);
  const { stdout } = await execa('ip', [
    'netns',
    'exec',
    namespace,
    'sysctl',
    '-a',
    '--pattern',
    'tap0|ip_forward$',
  ]);
  t.match(stdout, 'net.ipv4.ip_forward = 1');
  t.match(stdout, 'net.ipv4.neigh.tap0.retrans_time_ms = 20');
  t.match(stdout, 'net.ipv4.neigh.tap0.locktime = 0');
  t.match(stdout, 'net.ipv4.conf.tap0.arp_ignore = 1');
  t.match(stdout, 'net.ipv4.conf.tap0.arp_accept = 1');
  const { stdout: inet6 } = await execa('ip', ['-n', namespace, '-6', 'addr']);
  t.equal(inet6, '', 'no IPv6 address');
  const { stdout: hostSide } = await execa('ip', ['-6', 'addr', 'show', 'dev', namespace]);
  t.equal(hostSide, '', 'none on the host end either');
});

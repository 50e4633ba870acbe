import { once } from 'node:events';
import { execa, type ResultPromise } from 'execa';
import { NEIGHBOUR_SETTINGS } from '../../src/drivers/network/namespace/policy.ts';
import {
  GUEST_ADDRESS,
  GUEST_GATEWAY,
  GUEST_PREFIX,
  type Slot,
  TAP_MAC,
} from '../../src/drivers/network/types.ts';

/**
 * A namespace in the place of a guest: the slot's tap is replaced by a veth of the same name and settings, whose other end
 * is the guest's card. To the rules and to the rest of the kernel that makes no difference.
 */
export interface FakeGuest {
  name: string;
  /** Gives the card its address, which is when the guest begins to answer. Its link is up before, as a tap's is. */
  wake(): Promise<void>;
  setMac(mac: string): Promise<void>;
  /** Runs Node in the guest with this script and arguments; gives what it printed. */
  node(script: string, ...args: string[]): Promise<string>;
  /** Starts a TCP server in the guest that sends back what it gets. Resolves when it listens. */
  serveEcho(port: number): Promise<void>;
}

interface Teardown {
  teardown(undo: () => Promise<unknown>): unknown;
}

const ECHO = `
  require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(Number(process.argv[1]), () => console.log('listening'));`;

/** Resolves with the first output of a process; rejects when it ends without any. */
export async function saysSomething(process: ResultPromise<{ buffer: false; reject: false }>): Promise<void> {
  await Promise.race([
    once(process.stdout, 'data'),
    process.then(() => Promise.reject(new Error('the process ended without a word'))),
  ]);
}

let guests = 0;

export async function fakeGuest(t: Teardown, slot: Slot): Promise<FakeGuest> {
  guests += 1;
  const name = `dmguest-${process.pid}-${guests}`;
  const inGuest = ['netns', 'exec', name];
  t.teardown(() => execa('ip', ['netns', 'del', name], { reject: false }));
  await execa('ip', ['netns', 'add', name]);
  await execa('ip', ['-n', slot.namespace, '-batch', '-'], {
    input: `link del ${slot.tap}
link add ${slot.tap} address ${TAP_MAC} type veth peer name eth0 netns ${name}
addr add ${GUEST_GATEWAY}/${GUEST_PREFIX} dev ${slot.tap}
link set ${slot.tap} up
`,
  });
  const settings = Object.entries(NEIGHBOUR_SETTINGS).map(
    ([key, value]) => `${key.replaceAll('/', '.')}=${value}`,
  );
  await execa('ip', [
    'netns',
    'exec',
    slot.namespace,
    'sysctl',
    '-qw',
    ...settings.map((one) => `net.${one}`),
  ]);
  await execa('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
  // A guest's kernel announces a new hardware address when it is told to; the guest kit does it itself.
  await execa('ip', [...inGuest, 'sysctl', '-qw', 'net.ipv4.conf.all.arp_notify=1']);
  return {
    name,
    async wake() {
      await execa('ip', ['-n', name, '-batch', '-'], {
        input: `link set lo up
addr add ${GUEST_ADDRESS}/${GUEST_PREFIX} dev eth0
route add default via ${GUEST_GATEWAY}
`,
      });
    },
    async setMac(mac) {
      await execa('ip', ['-n', name, 'link', 'set', 'eth0', 'address', mac]);
    },
    async node(script, ...args) {
      const { stdout } = await execa('ip', [...inGuest, process.execPath, '-e', script, ...args], {
        timeout: 60_000,
      });
      return stdout;
    },
    async serveEcho(port) {
      const server = execa('ip', [...inGuest, process.execPath, '-e', ECHO, String(port)], {
        buffer: false,
        reject: false,
      });
      t.teardown(async () => {
        server.kill('SIGKILL');
        await server;
      });
      await saysSomething(server);
    },
  };
}

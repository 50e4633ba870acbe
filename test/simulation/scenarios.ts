import { DEFAULT_DISK_MB } from '../../src/actors/host/template-file.ts';
import type { Client } from './client.ts';

/** What clients do in a run. Each is a program of its own; they go on side by side. */

export interface Scenario {
  name: string;
  /** What there is to try in it that the others do not have. */
  about: string;
  /** Whether every command succeeds that no host's fault befalls: nobody else is in the way, and nobody leaves. */
  isOrderly: boolean;
  clients: ReadonlyArray<(client: Client, shared: Shared) => Promise<void>>;
}

/** What clients of one run share. */
export interface Shared {
  /** The sandbox that several clients speak to, once it is there. */
  sandbox: Promise<string>;
  /** Tells it. */
  made(id: string): void;
  /** Numbers that nobody else writes. */
  number(): number;
  /** Begins the warming of a shape of the template, on the host. */
  warm(): Promise<void>;
  /** Starts another agent beside the one that runs. */
  startSecondAgent(): Promise<void>;
  /** Stops the agent and starts another one, as an upgrade does. */
  upgrade(): Promise<void>;
}

/** From a saved machine, which is a clone. */
const SAVED = { disk_size_mb: DEFAULT_DISK_MB };

async function life(client: Client, { number }: Shared, wish: object): Promise<void> {
  const id = await client.create(wish);
  await client.write(id, number());
  await client.command('pause', id);
  await client.command('resume', id);
  await client.read(id);
  await client.command('destroy', id);
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a life',
    isOrderly: true,
    about: 'a sandbox that boots from its image, is paused, resumed and destroyed',
    clients: [(client, shared) => life(client, shared, {})],
  },
  {
    name: 'a clone',
    isOrderly: true,
    about: 'one that starts from a saved machine, and is left paused',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        await client.command('pause', id);
        await client.intrude(id);
      },
    ],
  },
  {
    name: 'restarts',
    isOrderly: true,
    about: 'one that is restarted, in whose middle its host gets a second agent and is then upgraded',
    clients: [
      async (client, { number, startSecondAgent, upgrade }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        await client.command('restart', id);
        await client.read(id);
        await startSecondAgent();
        await upgrade();
        await client.write(id, number());
        await client.command('pause', id);
        await client.command('resume', id);
      },
    ],
  },
  {
    name: 'times out',
    isOrderly: false,
    about: 'one that is paused by its timeout, and another that is destroyed by it',
    clients: [
      async (client, { number }) => {
        const id = await client.create({ ...SAVED, timeout_s: 20 });
        await client.write(id, number());
        await client.command('ping', id);
        await client.untilTimedOut(id);
        await client.command('resume', id);
        await client.read(id);
        await client.command('destroy', id);
      },
      async (client) => {
        const id = await client.create({ ...SAVED, timeout_s: 20, on_timeout: 'destroy' });
        await client.untilTimedOut(id);
      },
    ],
  },
  {
    name: 'a race',
    isOrderly: false,
    about: 'two clients that pause, resume, use and destroy one sandbox',
    clients: [
      async (client, { made, number }) => {
        const id = await client.create(SAVED);
        made(id);
        await client.command('pause', id);
        await client.write(id, number());
        await client.command('resume', id);
        await client.write(id, number());
        await client.command('pause', id);
      },
      async (client, { sandbox, number }) => {
        const id = await sandbox;
        await client.write(id, number());
        await client.command('resume', id);
        await client.command('pause', id);
        await client.write(id, number());
        await client.command('resume', id);
        await client.command('destroy', id);
      },
    ],
  },
  {
    name: 'hang-ups',
    isOrderly: false,
    about: 'clients that do not wait for their answers',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        // Before it is saved, while its monitor is stopped, and while its disk is detached.
        for (const [ms, turns] of [
          [0, 8],
          [70, 4],
          [120, 4],
        ] as const) {
          await client.hangUp('pause', id, turns, ms);
          await client.hangUp('resume', id, turns + 4, ms);
        }
        await client.hangUp('destroy', id, 10);
      },
      async (client) => {
        const id = await client.hangUp('create', '', 20);
        await client.hangUp('destroy', id, 12);
      },
    ],
  },
  {
    name: 'ways back',
    isOrderly: false,
    about: 'every way back from an operation that was begun, and a machine that ends by itself',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        for (const [verb, turns, ms] of [
          // Its vCPUs go on.
          ['pause', 8, 0],
          // Its machine is started again.
          ['pause', 4, 120],
        ] as const) {
          await client.hangUp(verb, id, turns, ms);
          await client.sleep(1_000);
        }
        await client.command('pause', id);
        // It is paused again.
        await client.hangUp('resume', id, 2, 0);
        await client.sleep(1_000);
        await client.hangUp('resume', id, 2, 70);
        await client.sleep(1_000);
        await client.command('restart', id);
        await client.powerOff(id);
        await client.command('restart', id);
        await client.write(id, number());
      },
    ],
  },
  {
    name: 'forks',
    isOrderly: true,
    about: 'one that is forked while it runs and goes on, as its forks do',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        const [one = '', other = ''] = await client.fork(id, 2);
        await Promise.all([client.write(id, number()), client.write(one, number())]);
        await Promise.all([client.read(id), client.read(one), client.read(other)]);
        await Promise.all([client.command('destroy', id), client.command('destroy', one)]);
      },
    ],
  },
  {
    name: 'paused forks',
    isOrderly: true,
    about: 'one that is forked while it is paused, made larger and resumed',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        await client.command('pause', id);
        const [one = '', other = ''] = await client.fork(id, 2);
        await client.resize(id, SAVED.disk_size_mb + 64);
        await client.command('resume', id);
        await client.write(other, number());
        await Promise.all([client.read(id), client.read(one)]);
        await Promise.all([client.command('destroy', one), client.command('destroy', other)]);
      },
    ],
  },
  {
    name: 'a snapshot',
    isOrderly: true,
    about: 'the memory and disk of one become a template, while it is paused',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        await client.command('pause', id);
        await client.snapshot(id, { name: 'saved', memory: true });
        await client.command('resume', id);
        await client.write(id, number());
        const made = await client.create({ ...SAVED, template: 'saved' });
        await client.read(made);
        await client.command('destroy', made);
      },
    ],
  },
  {
    name: 'disks',
    isOrderly: true,
    about: 'the disk of one becomes an image, which must not go while another stands on it, and is replaced',
    clients: [
      async (client, { number }) => {
        const id = await client.create(SAVED);
        await client.write(id, number());
        await client.snapshot(id, { name: 'disk', memory: false });
        await client.command('pause', id);
        const made = await client.create({ ...SAVED, template: 'disk' });
        if ((await client.read(made)).succeeded) await client.removeSnapshot('disk', 'TEMPLATE_IN_USE');
        await client.snapshot(id, { name: 'disk', memory: false, overwrite: true });
        await client.read(made);
        await client.command('destroy', made);
        await client.removeSnapshot('disk');
      },
    ],
  },
  {
    name: 'a warming',
    isOrderly: true,
    about: 'a saved machine is made while two sandboxes of the same image come and go',
    clients: [
      async (_client, { warm }) => await warm(),
      async (client) => {
        const id = await client.create();
        await client.command('destroy', id);
      },
      async (client, { number }) => {
        const id = await client.create();
        await client.write(id, number());
        await client.command('pause', id);
        await client.command('destroy', id);
      },
    ],
  },
];

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { hostCommands } from '../../src/actors/host/protocol.ts';
import { endpoint } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/config.ts';
import { pathsOf } from '../../src/paths.ts';
import { Parts } from '../../src/roles/context.ts';
import { joinBus } from '../../src/roles/shared.ts';
import { dormouse, json } from '../cli/support.ts';
import { exampleHost } from '../support/bus.ts';
import { type Authority, newAuthority } from '../support/certificates.ts';
import { exampleAccounts } from '../support/example-accounts.ts';
import { silentLog, startTestNats, until } from '../support/nats.ts';

/** The servers of nats/*.example.conf, and roles and client commands that come in by settings alone. */

const CLUSTER = new URL('../../nats/cluster.example.conf', import.meta.url);

async function newFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-credentials-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A role's bus, from an environment. */
async function roleBus(t: Test, environment: Record<string, string>) {
  const config = loadConfig(environment);
  const parts = new Parts();
  t.teardown(() => parts.close());
  const ports = { config, paths: pathsOf('/nowhere'), clock: systemClock, log: silentLog, version: '1' };
  return await joinBus(parts, config.natsUrl ?? '', 'role', ports);
}

/** Writes the seeds into files, with the end of a line as `nk` does, and says where. */
async function seedFiles(folder: string, seeds: Map<string, Uint8Array>): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const [name, seed] of seeds) {
    const file = path.join(folder, `${name}.nk`);
    await writeFile(file, `${Buffer.from(seed).toString()}\n`, { mode: 0o600 });
    files.set(name, file);
  }
  return files;
}

t.test('the accounts of the example: each process comes in by its seed', async (t) => {
  const { config, seeds } = await exampleAccounts();
  const server = await startTestNats(t, config);
  const files = await seedFiles(await newFolder(t), seeds);
  const settings = (name: string): Record<string, string> => ({
    NATS_URL: server.url,
    DORMOUSE_NATS_NAME: name,
    DORMOUSE_NATS_SEED_FILE: files.get(name) ?? '',
  });
  const scheduler = await roleBus(t, settings('scheduler-1'));
  t.same(await scheduler.hosts.list(), [], 'it may do its work');
  const host = await roleBus(t, settings('h-1'));
  host.serveAll('dormouse.host.h-1', [endpoint(hostCommands.info, async () => exampleHost('h-1'))]);
  // When the server has answered this, it knows what the host listens to.
  await host.hosts.announce(exampleHost('h-1'));
  await t.rejects(roleBus(t, { NATS_URL: server.url }), { code: 'BUS_UNAVAILABLE' }, 'nobody without one');

  const told = await dormouse(['nats-req', 'dormouse.host.h-1.info', '--json'], settings('edge-1'));
  t.equal(told.status, 0, told.stderr);
  t.match(json(told), { host_id: 'h-1' });
  const nobody = await dormouse(['nats-req', 'dormouse.host.h-1.info'], { NATS_URL: server.url });
  t.match(nobody.stderr, /BUS_UNAVAILABLE/);
});

/** The configuration of the example, with the files of this test; without what needs two more machines, and JetStream, which is set already. */
async function clusterConfig(authority: Authority, accounts: string): Promise<string> {
  const { cert, key } = await authority.issue('nats-1');
  const text = await readFile(CLUSTER, 'utf8');
  const config = text
    .replaceAll(/^(cluster|jetstream) \{.*?^\}$/gms, '')
    .replace(/^(listen|http): .*$/gm, '')
    .replace('/etc/dormouse/nats/server.crt', cert)
    .replace('/etc/dormouse/nats/server.key', key)
    .replace('/etc/dormouse/nats/ca.crt', authority.ca)
    .replace('include accounts.example.conf', accounts);
  for (const left of ['/etc/', '/var/', 'include']) if (config.includes(left)) throw new Error(config);
  return config;
}

t.test('the server of the example: TLS both ways, and an nkey', async (t) => {
  const folder = await newFolder(t);
  const authority = await newAuthority(folder, 'authority');
  const { config, seeds } = await exampleAccounts();
  const server = await startTestNats(t, await clusterConfig(authority, config));
  const files = await seedFiles(folder, seeds);
  const { cert, key } = await authority.issue('edge');
  const settings: Record<string, string> = {
    NATS_URL: `tls://localhost:${server.port}`,
    DORMOUSE_NATS_NAME: 'scheduler-1',
    DORMOUSE_NATS_SEED_FILE: files.get('scheduler-1') ?? '',
    DORMOUSE_NATS_CA: authority.ca,
    DORMOUSE_NATS_CERT: cert,
    DORMOUSE_NATS_KEY: key,
  };
  const scheduler = await roleBus(t, settings);
  t.same(await scheduler.hosts.list(), []);
  const listed = await dormouse(['host', 'list', '--json'], settings);
  t.equal(listed.status, 0, listed.stderr);
  t.same(json(listed), { hosts: [] });

  const { DORMOUSE_NATS_CERT: _cert, DORMOUSE_NATS_KEY: _key, ...unknown } = settings;
  await t.rejects(roleBus(t, unknown), { code: 'BUS_UNAVAILABLE' }, 'nobody without a certificate');
  const { DORMOUSE_NATS_CA: _ca, ...doubting } = settings;
  await t.rejects(roleBus(t, doubting), { code: 'BUS_UNAVAILABLE' }, 'a server of another authority');

  // What is renewed is used by the next connection.
  const renewed = await authority.issue('edge');
  t.same(renewed, { cert, key });
  await server.kill();
  await server.start();
  const isBack = () =>
    scheduler.hosts.list().then(
      () => true,
      () => false,
    );
  await until(isBack, 'connected again');

  const plain = await startTestNats(t);
  for (const { NATS_URL, ...rest } of [settings, {}] as Array<Record<string, string>>)
    await t.rejects(
      roleBus(t, { ...rest, NATS_URL: `tls://127.0.0.1:${plain.port}` }),
      { code: 'BUS_UNAVAILABLE' },
      'with tls:// no server without TLS',
    );
});

t.test(
  'a file that is not there, or not what it must be, is told by its path and without its content',
  async (t) => {
    const folder = await newFolder(t);
    const authority = await newAuthority(folder, 'authority');
    const one = await authority.issue('one');
    const other = await authority.issue('other');
    const { seeds } = await exampleAccounts();
    const seed = Buffer.from(seeds.get('edge-1') ?? []).toString();
    const written = async (name: string, text: string): Promise<string> => {
      const file = path.join(folder, name);
      await writeFile(file, text);
      return file;
    };
    const half = await written('half.nk', seed.slice(0, -4));
    const none = path.join(folder, 'none');
    const cases: Array<[settings: Record<string, string>, message: RegExp]> = [
      [
        { DORMOUSE_NATS_SEED_FILE: none },
        /DORMOUSE_NATS_SEED_FILE: \S+none cannot be read \(ENOENT\)\. Name a file/,
      ],
      [{ DORMOUSE_NATS_SEED_FILE: folder }, /cannot be read \(EISDIR\)/],
      [{ DORMOUSE_NATS_SEED_FILE: half }, /half\.nk must hold the seed of a user/],
      [{ DORMOUSE_NATS_CA: none }, /DORMOUSE_NATS_CA: \S+none cannot be read/],
      [{ DORMOUSE_NATS_CA: half }, /DORMOUSE_NATS_CA: \S+half\.nk must hold certificates in PEM/],
      [
        { DORMOUSE_NATS_CERT: one.cert, DORMOUSE_NATS_KEY: none },
        /DORMOUSE_NATS_KEY: \S+none cannot be read/,
      ],
      [{ DORMOUSE_NATS_CERT: one.cert, DORMOUSE_NATS_KEY: other.key }, /one\.crt must hold .* \S+other\.key/],
      [{ DORMOUSE_NATS_CERT: one.cert }, /DORMOUSE_NATS_CERT and DORMOUSE_NATS_KEY go together/],
    ];
    for (const [settings, message] of cases) {
      const environment = { NATS_URL: 'nats://127.0.0.1:1', ...settings };
      await t.rejects(roleBus(t, environment), { code: 'CONFIG_INVALID', detail: message }, String(message));
    }
    const told = await dormouse(['host', 'list'], {
      NATS_URL: 'nats://127.0.0.1:1',
      DORMOUSE_NATS_SEED_FILE: half,
    });
    t.equal(told.status, 1);
    t.match(told.stderr, /CONFIG_INVALID.*half\.nk/s);
    t.notMatch(told.stderr, seed.slice(0, -4));
    t.throws(
      () => loadConfig({ DORMOUSE_NATS_SEED_FILE: half }),
      /DORMOUSE_NATS_SEED_FILE: for a server that NATS_URL names/,
    );
  },
);

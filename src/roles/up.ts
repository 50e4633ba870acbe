import { rm } from 'node:fs/promises';
import { writeFileDurably } from '../durable-file.ts';
import { startNats } from '../embedded/nats.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { messageOf } from '../errors/index.ts';
import { DEFAULT_TEAM_ID } from '../ids.ts';
import { lockDataDir } from '../store/lock.ts';
import { ensureFirstKey, type FirstKey } from './api-key.ts';
import { aborted, Parts, type RoleContext, type RolePorts } from './context.ts';
import { startEdgePart } from './edge-part.ts';
import { describeFound } from './found.ts';
import { DEFAULT_SHAPE, type HostCore, PLATFORM_TEMPLATE } from './host-core.ts';
import { startHostPart } from './host-part.ts';
import { startProjectorPart } from './projector-part.ts';
import { startSchedulerPart } from './scheduler-part.ts';
import { joinBus, joinRecords, rolePorts } from './shared.ts';

/**
 * `dormouse up`: all roles in one process, with a private NATS server and a private PostgreSQL cluster as children
 * unless settings name others. Runs until it is asked to stop; sandboxes stay as they are.
 */
export async function runUp({ config, signal, print, options }: RoleContext): Promise<void> {
  const parts = new Parts();
  const ports = await rolePorts('up', config, (paths) => paths.log);
  const { paths, clock, log } = ports;
  const started = clock.monotonicMs();
  const step = (what: string): void =>
    print(`  ${((clock.monotonicMs() - started) / 1000).toFixed(1).padStart(5)} s  ${what}`);
  try {
    parts.addGuard(await lockDataDir(paths), (lock) => lock.release());
    step(config.databaseUrl ? 'connecting to PostgreSQL' : 'starting PostgreSQL');
    const databaseUrl =
      config.databaseUrl ??
      parts.add(await startPostgres({ dir: paths.postgres, clock, log }), (server) => server.stop()).url;
    step(config.natsUrl ? 'connecting to NATS' : 'starting NATS');
    const natsUrl =
      config.natsUrl ??
      parts.add(await startNats({ dir: paths.nats, clock, log }), (server) => server.stop()).url;
    const records = await joinRecords(parts, databaseUrl, ports);
    const bus = await joinBus(parts, natsUrl, 'up', ports);
    parts.add(startProjectorPart(bus, records, ports), (part) => part.close());
    step('starting the host');
    const host = await startHostPart(bus, ports, step, signal);
    parts.add(host, (part) => part.close());
    const found = describeFound(host.host.found);
    if (found) step(found);
    parts.add(await startSchedulerPart(bus, records, ports), (part) => part.close());
    const key = await ensureFirstKey(records, ports);
    const edge = await startEdgePart(bus, records, ports);
    parts.add(edge, (part) => part.close());
    step(`booting the template ${PLATFORM_TEMPLATE} once`);
    await Promise.race([host.host.warm(PLATFORM_TEMPLATE, DEFAULT_SHAPE), aborted(signal)]);
    await writeFileDurably(
      paths.serverInfo,
      JSON.stringify({
        url: edge.url,
        nats_url: natsUrl,
        pid: process.pid,
        started_at: new Date(clock.nowMs()).toISOString(),
      }),
      0o600,
    );
    parts.add(undefined, () => rm(paths.serverInfo, { force: true }));
    for (const line of banner(edge.url, key, host, ports)) print(line);
    await aborted(signal);
    await farewell(host, options.pauseOnExit === true, print);
  } finally {
    await parts.close();
  }
}

function banner(
  url: string,
  first: FirstKey,
  { host, accelerator, store, disk }: HostCore,
  { paths, config }: RolePorts,
): string[] {
  const isOpen = config.auth === 'none';
  const there = host.sandboxes().map((sandbox) => sandbox.view().state);
  const counts = [...new Set(there)].map(
    (state) => `${there.filter((other) => other === state).length} ${state}`,
  );
  return [
    '',
    `Dormouse is ready at ${url}`,
    '',
    ...keyLines(first, isOpen),
    `  Dashboard  ${url}/`,
    `  Test page  ${url}/test`,
    `  API        ${url}/docs`,
    `  Data       ${paths.root} (${store})`,
    `  Disks      ${disk.name}: ${disk.reason}`,
    `  vCPUs      ${accelerator.name}: ${accelerator.reason}`,
    `  Sandboxes  ${counts.join(', ') || 'none yet'}`,
    '',
    'Make one:',
    '',
    `  curl -s ${url}/v1/sandboxes ${isOpen ? '' : `-H 'X-API-Key: ${first.key ?? 'KEY'}' `}-H 'content-type: application/json' -d '{"template":"${PLATFORM_TEMPLATE}"}'`,
    '',
    `Or see a whole life, in another terminal: ${process.env.DORMOUSE_DATA_DIR ? `DORMOUSE_DATA_DIR=${paths.root} ` : ''}bin/dormouse demo`,
    'Ctrl-C stops the server; sandboxes stay as they are.',
    '',
  ];
}

function keyLines(first: FirstKey, isOpen: boolean): string[] {
  if (isOpen)
    return ['  API key    none is asked for: everybody on this machine may do everything (--auth none)'];
  if (first.key !== undefined) return [`  API key    ${first.key}`];
  return [
    `  API key    none to show: ${first.why}.`,
    `             Another one, with a key that has the scope admin: dormouse admin key create ${DEFAULT_TEAM_ID} --name NAME`,
  ];
}

/** Says what becomes of the sandboxes, and pauses the running ones when that was asked for. */
async function farewell({ host }: HostCore, pauseAll: boolean, print: (line: string) => void): Promise<void> {
  const running = host.sandboxes().filter((sandbox) => sandbox.actor.state === 'running');
  if (running.length === 0) {
    print('Stopping. No sandbox runs; paused ones are kept.');
  } else if (pauseAll) {
    print(`Stopping. Pausing what runs (${running.length}) …`);
    for (const { id, error } of await host.pauseAll())
      print(`  ${id} could not be paused and runs on: ${messageOf(error)}`);
  } else {
    print(
      `Stopping. These run on and are found again by the next start: ${running.map(({ id }) => id).join(', ')}.`,
    );
    print('To pause them at exit instead: dormouse up --pause-on-exit');
  }
}

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { newDataDir, removeDataDir } from './dormouse.ts';
import { atRest, type Fault, HostProcess, type HostView } from './host-process.ts';

/** A host without a bus that a test lets die and starts again, with real virtual machines, and what must hold of it at rest. */

export interface HostLab {
  dataDir: string;
  /** The host that runs; another one after `restart`. */
  host(): HostProcess;
  /** Starts a host again after the one before died. */
  restart(): Promise<HostProcess>;
  arm(fault: Fault): Promise<void>;
  disarm(): Promise<void>;
  folder(id: string, ...names: string[]): string;
  /** What is on the machine and what the ledgers and the host say, side by side. Empty when they agree. */
  disagreements(): Promise<string[]>;
}

export interface HostLabOptions {
  settings?: Record<string, string>;
  /** Data directory; one of its own, which the teardown removes, when absent. */
  dir?: string;
  /** Further looks at the machine, for `disagreements`. */
  look?: (views: readonly HostView[], host: HostProcess) => Promise<string[]>;
}

/** How long nothing may happen until the host counts as quiet, in milliseconds. */
const QUIET_MS = 150;
/** How long a step that has begun may take to end until it counts as one that failed, in milliseconds. */
const QUIET_LIMIT_MS = 10_000;
/** Lasts as long as the sandbox runs. */
const LASTING_STEP = 'watchVm';

/** Starts a host. The teardown destroys what is left. */
export async function startHostLab(
  t: Test,
  { settings: own = {}, dir, look }: HostLabOptions = {},
): Promise<HostLab> {
  const dataDir = dir ?? (await newDataDir());
  // Half of a start is to compile what the one before has compiled already.
  const settings = { NODE_COMPILE_CACHE: path.join(dataDir, 'compiled'), ...own };
  let next = HostProcess.standby(dataDir, settings);
  let host: HostProcess;
  /** Lets the next one begin, and loads another one meanwhile: loading takes most of a start. */
  const begin = async (): Promise<HostProcess> => {
    const started = next.start();
    next = HostProcess.standby(dataDir, settings);
    return await started;
  };
  host = await begin();
  t.teardown(async () => {
    // A test that failed may have left it standing still.
    host.goOn();
    if (host.isDead) host = await begin();
    for (const id of await sandboxesIn(dataDir)) {
      // One that is on its way takes no command yet.
      await host.until(id, atRest, 30_000).catch(() => {});
      await host.command(id, 'destroy').catch(() => {});
      await host.until(id, (view) => view === null, 30_000).catch(() => {});
    }
    await host.stop();
    // It writes into the data directory while it loads.
    await next.end();
    if (!dir) await removeDataDir(dataDir);
  });
  return {
    dataDir,
    host: () => host,
    async restart() {
      host = await begin();
      return host;
    },
    arm: async (fault) => void (await host.ask('fault', { ...fault })),
    disarm: async () => void (await host.ask('fault')),
    folder: (id, ...names) => path.join(dataDir, 'store', 'sandboxes', id, ...names),
    async disagreements() {
      const ids = await sandboxesIn(dataDir);
      const views = (await Promise.all(ids.map((id) => host.view(id)))).filter((view) => view !== null);
      const leaks = await host.ask<unknown[]>('leaks');
      return [
        ...leaks.map((leak) => `leak ${JSON.stringify(leak)}`),
        ...(await foldersAgainst(dataDir, views)),
        ...(await processesAgainst(dataDir, views)),
        ...((await look?.(views, host)) ?? []),
      ];
    },
  };
}

/** Waits until the host passes no fault point any more; gives those that it passed since a fault was last set. */
export async function passedWhenQuiet({ host }: Pick<HostLab, 'host'>): Promise<string[]> {
  const giveUpAt = Date.now() + QUIET_LIMIT_MS;
  for (let before = -1; ; await sleep(QUIET_MS)) {
    const passed = await host().ask<string[]>('passed');
    if (passed.length === before && (isIdle(passed) || Date.now() > giveUpAt)) return passed;
    before = passed.length;
  }
}

/** Whether every step that has begun has ended. One that failed has not, as far as this can tell. */
function isIdle(passed: readonly string[]): boolean {
  const count = (point: string): number => passed.filter((other) => other === point).length;
  return passed
    .filter((point) => point.endsWith(' begins') && !point.startsWith(LASTING_STEP))
    .every((point) => count(point) <= count(point.replace(/ begins$/, ' done')));
}

/** Invariant 3: `live/` and `snapshot/` are there exactly when the ledger names them. */
async function foldersAgainst(dataDir: string, views: readonly HostView[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { id, state, ledger } of views) {
    const folders = await readdir(path.join(dataDir, 'store', 'sandboxes', id)).catch((): string[] => []);
    for (const kind of ['live', 'snapshot'])
      if (folders.includes(kind) !== ledger.includes(kind))
        wrong.push(
          `${id}, ${state}: ${kind}/ is ${folders.includes(kind) ? '' : 'not '}there, ledger ${ledger}`,
        );
  }
  return wrong;
}

/** Invariant 1: no sandbox has two monitors. */
async function processesAgainst(dataDir: string, views: readonly HostView[]): Promise<string[]> {
  const running = await monitorsIn(dataDir);
  return views.flatMap(({ id, state }) => {
    const pids = running.filter((monitor) => monitor.id === id).map(({ pid }) => pid);
    return pids.length > 1 ? [`${id}, ${state}: its monitors are ${pids}`] : [];
  });
}

/**
 * What a sandbox holds at rest, where nothing failed: one that runs a monitor, a slot and `live/`, a paused one `snapshot/`,
 * a crashed one `live/`, and nothing else. For `look`.
 */
export async function restAgainst(views: readonly HostView[], dataDir: string): Promise<string[]> {
  const running = await monitorsIn(dataDir);
  const wanted: Record<string, string> = {
    running: 'live, disk, slot, vmm; 1 process',
    paused: 'snapshot; 0 processes',
    crashed: 'live; 0 processes',
  };
  return views.flatMap(({ id, state, ledger }) => {
    const count = running.filter((monitor) => monitor.id === id).length;
    const order = ['live', 'snapshot', 'disk', 'slot', 'vmm'];
    const held = ledger.toSorted((a, b) => order.indexOf(a) - order.indexOf(b)).join(', ');
    const has = `${held}; ${count} ${count === 1 ? 'process' : 'processes'}`;
    return has === wanted[state] ? [] : [`${id}, ${state}: it has ${has}`];
  });
}

/** The monitors of the data directory's sandboxes, as the machine shows them. One that has ended is none. */
export async function monitorsIn(dataDir: string): Promise<Array<{ id: string; pid: number }>> {
  const found: Array<{ id: string; pid: number }> = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const [, id] = new RegExp(`unix:${dataDir}/store/sandboxes/(sb-[a-z0-9]+)/run/qmp`).exec(text) ?? [];
    if (id) found.push({ id, pid: Number(pid) });
  }
  return found;
}

/** Ids of the sandboxes that have a folder. */
export async function sandboxesIn(dataDir: string): Promise<string[]> {
  const names = await readdir(path.join(dataDir, 'store', 'sandboxes')).catch(() => []);
  return names.filter((name) => /^sb-/.test(name));
}

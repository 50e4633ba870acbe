import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { type Paths, pathsOf } from '../../src/paths.ts';
import { Api, type SandboxView } from './api.ts';

const MAIN = path.join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts');
const READY_LIMIT_MS = 180_000;
const POLL_MS = 50;
const STOP_GRACE_MS = 60_000;
/** Enough for the machines of a run; the file is sparse. */
const STORE_MB = 16_384;
/** As large as the disk of a cold create, which could not be smaller. */
const IMAGE_MB = 1024;
/** Settings that would lead the server to somebody else's data. */
const FOREIGN = /^(NATS_URL|DATABASE_URL|DORMOUSE_(API_KEY|HOST_ID|LOG_FILE|NATS_.+))$/;

/** A Dormouse of the benchmark's own. */
export interface Server {
  api: Api;
  paths: Paths;
  /** Destroys its sandboxes, stops it and removes its data directory. */
  stop(): Promise<void>;
}

/** Starts `dormouse up` on a temporary data directory and a free port. Nothing is left when that fails or `signal` aborts. */
export async function startServer(signal: AbortSignal): Promise<Server> {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'dm-bench-'));
  const paths = pathsOf(dataDir);
  const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  // A group of its own, because a Ctrl-C must reach it only after its sandboxes were destroyed; and when this process is
  // killed, the kernel ends it.
  const server = execa(
    'setpriv',
    ['--pdeathsig', 'TERM', '--', process.execPath, MAIN, 'up', '--pause-on-exit'],
    {
      env: {
        ...Object.fromEntries(inherited),
        DORMOUSE_DATA_DIR: dataDir,
        DORMOUSE_HTTP_PORT: '0',
        DORMOUSE_STORE_SIZE_MB: String(STORE_MB),
        DORMOUSE_IMAGE_SIZE_MB: String(IMAGE_MB),
      },
      extendEnv: false,
      stdin: 'ignore',
      all: true,
      reject: false,
      detached: true,
      forceKillAfterDelay: STOP_GRACE_MS,
    },
  );
  let ended: string | undefined;
  void server.then((result) => {
    ended = String(result.all);
  });
  let api: Api | undefined;

  async function stop(): Promise<void> {
    if (api) await destroyAll(api).catch(() => {});
    api?.close();
    server.kill('SIGTERM');
    await server;
    await execa('umount', ['--lazy', paths.store], { reject: false });
    await rm(dataDir, { recursive: true, force: true });
  }

  try {
    const giveUpAtMs = performance.now() + READY_LIMIT_MS;
    for (;;) {
      const info = await readFile(paths.serverInfo, 'utf8').catch(() => undefined);
      if (info !== undefined) {
        const { url } = JSON.parse(info) as { url: string };
        api = new Api(url, (await readFile(paths.apiKey, 'utf8')).trim());
        return { api, paths, stop };
      }
      if (ended !== undefined || performance.now() > giveUpAtMs)
        throw new Error(`dormouse up did not come up:\n${ended ?? ''}`);
      await sleep(POLL_MS, undefined, { signal });
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

async function destroyAll(api: Api): Promise<void> {
  const signal = AbortSignal.timeout(STOP_GRACE_MS);
  const { sandboxes } = await api.call<{ sandboxes: SandboxView[] }>('GET', '/sandboxes', undefined, signal);
  const left = sandboxes.filter(({ state }) => state !== 'destroyed' && state !== 'failed');
  await Promise.allSettled(left.map(({ id }) => api.call('DELETE', `/sandboxes/${id}`, undefined, signal)));
}

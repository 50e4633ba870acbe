import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import type { Clock } from '../../clock.ts';
import { loadConfig } from '../../config/config.ts';
import { DormouseError } from '../../errors/index.ts';
import { Client } from '../client.ts';
import { readServerInfo, type ServerAddress, serverAddress } from '../server-info.ts';

export interface OwnServer {
  address: ServerAddress;
  /** Stops the server and removes its data directory. Throws `CHILD_FAILED` when something of it is left. */
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 180_000;
const POLL_MS = 100;
const STOP_GRACE_MS = 60_000;
const LAST_LINES = 20;
const MAIN = path.join(import.meta.dirname, '..', 'main.ts');

/**
 * Starts `dormouse up` in a temporary data directory on a free port, and waits until it takes requests.
 *
 * @param progress called with each line that the server prints until it is ready
 * @throws `CHILD_FAILED` with its last lines when it does not come up, `CANCELLED` when `signal` aborts; nothing is left
 */
export async function startOwnServer(
  progress: (line: string) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<OwnServer> {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-demo-'));
  const environment = ownEnvironment(dataDir);
  // The kernel ends the server when this process is killed. A group of its own, because a Ctrl-C must reach it only after
  // the sandbox was destroyed.
  const server = execa(
    'setpriv',
    ['--pdeathsig', 'TERM', '--', process.execPath, MAIN, 'up', '--pause-on-exit'],
    {
      env: environment,
      extendEnv: false,
      stdin: 'ignore',
      all: true,
      buffer: false,
      reject: false,
      detached: true,
      forceKillAfterDelay: STOP_GRACE_MS,
    },
  );
  let hasEnded = false;
  const ended = server.then((result) => {
    hasEnded = true;
    return result;
  });
  const lastLines: string[] = [];
  // The server's banner, which begins with an empty line, speaks to people who want to use it.
  let isStarting = true;
  const output = createInterface({ input: server.all });
  output.on('line', (line) => {
    lastLines.push(line);
    if (lastLines.length > LAST_LINES) lastLines.shift();
    isStarting &&= line.trim() !== '';
    if (isStarting) progress(line);
  });
  const outputEnded = once(output, 'close');

  async function stop(): Promise<void> {
    server.kill('SIGTERM');
    const { isForcefullyTerminated } = await ended;
    await rm(dataDir, { recursive: true, force: true }).catch((cause: unknown) => {
      const why = isForcefullyTerminated
        ? 'did not stop in time and was killed'
        : 'stopped, but left files in use';
      throw new DormouseError('CHILD_FAILED', `The server ${why}. What is left is in ${dataDir}.`, { cause });
    });
  }

  try {
    const config = loadConfig(environment);
    const giveUpAt = clock.monotonicMs() + READY_TIMEOUT_MS;
    for (;;) {
      if (signal.aborted) throw new DormouseError('CANCELLED', 'The demo was stopped.');
      if (hasEnded || clock.monotonicMs() > giveUpAt) {
        if (hasEnded) await outputEnded;
        throw new DormouseError(
          'CHILD_FAILED',
          `\`dormouse up\` ${hasEnded ? 'ended by itself' : 'did not come up in time'}. Its last lines: ${lastLines.join(' | ') || '(none)'}`,
        );
      }
      const address = await addressWhenReady(config, signal);
      if (address) return { address, stop };
      await clock.sleep(POLL_MS, signal).catch(() => undefined);
    }
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What this process has, without the settings that would lead the server to somebody else's data. */
function ownEnvironment(dataDir: string): Record<string, string | undefined> {
  const foreign = [
    'NATS_URL',
    'DATABASE_URL',
    'DORMOUSE_URL',
    'DORMOUSE_API_KEY',
    'DORMOUSE_HOST_ID',
    'DORMOUSE_LOG_FILE',
  ];
  const kept = Object.entries(process.env).filter(
    ([name]) => !foreign.includes(name) && !name.startsWith('DORMOUSE_NATS_'),
  );
  return { ...Object.fromEntries(kept), DORMOUSE_DATA_DIR: dataDir, DORMOUSE_HTTP_PORT: '0' };
}

async function addressWhenReady(
  config: ReturnType<typeof loadConfig>,
  signal: AbortSignal,
): Promise<ServerAddress | undefined> {
  if ((await readServerInfo(config)) === undefined) return undefined;
  const address = await serverAddress(config);
  return new Client(address, signal).ready().then(
    () => address,
    () => undefined,
  );
}

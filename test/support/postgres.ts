import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../src/clock.ts';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres.ts';
import { silentLog } from './nats.ts';

export interface TestPostgres {
  /** Database `dormouse`. */
  readonly url: string;
  /** Ends the server in order. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Starts it again, on the same socket and data. Resolves when it answers. */
  start(): Promise<void>;
}

/** Starts a real PostgreSQL cluster in a folder of its own. The test's teardown stops it and removes the folder. */
export async function startTestPostgres(t: Test): Promise<TestPostgres> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-pg-'));
  let server: EmbeddedPostgres | undefined;
  async function stop(): Promise<void> {
    await server?.stop();
    server = undefined;
  }
  t.teardown(async () => {
    await stop();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  async function start(): Promise<string> {
    server ??= await startPostgres({ dir, clock: systemClock, log: silentLog });
    return server.url;
  }
  const url = await start();
  return {
    url,
    stop,
    start: async () => {
      await start();
    },
  };
}

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { systemClock } from '../../src/clock.ts';
import { type Paths, pathsOf } from '../../src/paths.ts';
import { mountedOn } from '../../src/store/image.ts';
import { openStore } from '../../src/store/index.ts';
import { quiet } from './quiet.ts';

interface Teardown {
  teardown(undo: () => Promise<unknown>): unknown;
}

/** A data directory of its own, with its paths. Whatever was mounted on its store is unmounted at the end. */
export async function tempDataDir(t: Teardown): Promise<Paths> {
  const paths = pathsOf(await mkdtemp(path.join(os.tmpdir(), 'dmd-')));
  t.teardown(async () => {
    if ((await mountedOn(paths).catch(() => 'nothing')) !== 'nothing') {
      await execa('umount', [paths.store]);
    }
    await rm(paths.root, { recursive: true, force: true });
  });
  return paths;
}

/** Opens a store as a test wants it: small, silent, on the real clock. */
export function openTestStore(paths: Paths, sizeMb = 1024, signal = new AbortController().signal) {
  return openStore(paths, { sizeMb, log: quiet, clock: systemClock, signal });
}

import { mkdir, mkdtemp, realpath, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Test } from 'tap';
import { Lane } from '../../../src/actors/host/lane.ts';
import { LoopRegistry, type LoopRegistryOptions } from '../../../src/actors/loop-registry/index.ts';
import { RETRY_MS } from '../../../src/actors/loop-registry/machine.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { newCommandId } from '../../../src/ids.ts';
import { quiet } from '../../support/quiet.ts';

/** A folder of images of its own; its loops are the only ones that the test looks at. */
export interface Images {
  folder: string;
  /** Makes a sparse image of 1 MiB. */
  image(name: string): Promise<string>;
  /** Loops of files in the folder, as `losetup --list` shows them: not through the code under test. */
  loops(): Promise<Array<{ device: string; file: string; autoclear: boolean; readOnly: boolean }>>;
}

export async function imageFolder(t: Test): Promise<Images> {
  const folder = path.join(
    await realpath(await mkdtemp(path.join(os.tmpdir(), 'dormouse-loops-'))),
    'images',
  );
  await mkdir(folder);
  const loops: Images['loops'] = async () => {
    const { stdout } = await execa('losetup', ['-l', '--json', '-O', 'NAME,BACK-FILE,AUTOCLEAR,RO']);
    const rows = stdout ? (JSON.parse(stdout).loopdevices as Array<Record<string, unknown>>) : [];
    return rows
      .filter((row) => String(row['back-file']).startsWith(`${folder}/`))
      .map((row) => ({
        device: String(row.name),
        file: String(row['back-file']),
        autoclear: row.autoclear === true,
        readOnly: row.ro === true,
      }));
  };
  t.teardown(async () => {
    for (const { device } of await loops()) await execa('losetup', ['-d', device], { reject: false });
    await rm(path.dirname(folder), { recursive: true, force: true });
  });
  return {
    folder,
    loops,
    async image(name) {
      const file = path.join(folder, name);
      await writeFile(file, '');
      await truncate(file, 2 ** 20);
      return file;
    },
  };
}

/** Real time, in which what could not be detached is tried again only when the test says so. */
export function patientClock(): { clock: Clock; retry(): void } {
  const armed = new Set<() => void>();
  const after: Clock['after'] = (delayMs, fire) => {
    if (delayMs > RETRY_MS || delayMs <= RETRY_MS / 2) return systemClock.after(delayMs, fire);
    armed.add(fire);
    return { cancel: () => armed.delete(fire) };
  };
  return {
    clock: { ...systemClock, after },
    retry() {
      for (const fire of [...armed]) {
        armed.delete(fire);
        fire();
      }
    },
  };
}

/** A registry on the folder; the test's teardown stops it. */
export async function startRegistry(
  t: Test,
  folder: string,
  options: Partial<LoopRegistryOptions> = {},
): Promise<LoopRegistry> {
  const registry = await LoopRegistry.start({
    hostId: 'h-test',
    folder,
    lane: new Lane().run,
    mailboxSize: 256,
    ports: { clock: patientClock().clock, log: quiet },
    ...options,
  });
  t.teardown(() => registry.stop());
  return registry;
}

/** A command of its own, with a minute to live. */
export function by(signal = new AbortController().signal): CommandContext {
  return { commandId: newCommandId(), deadlineMs: Date.now() + 60_000, signal };
}

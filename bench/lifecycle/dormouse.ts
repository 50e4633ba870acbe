import { access } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sandboxPaths } from '../../src/paths.ts';
import type { SandboxView } from './api.ts';
import type { Life, Way } from './life.ts';
import type { Server } from './server.ts';

/** Smaller than the disk of the saved machine, so that it cannot be a clone of that one and is booted. */
const COLD_DISK_MB = 1024;
const FILE_POLL_MS = 20;

/** The life of a sandbox through the HTTP API. `created` is told the id of each sandbox. */
export function throughDormouse(
  { api, paths }: Server,
  signal: AbortSignal,
  created: (id: string) => void = () => {},
): Way {
  const appears = async (file: string): Promise<void> => {
    while (!(await exists(file))) await sleep(FILE_POLL_MS, undefined, { signal });
  };
  const lifeOf = (id: string): Life => {
    const command = async (name: string, wanted: string): Promise<void> => {
      const { state } = await api.call<SandboxView>('POST', `/sandboxes/${id}/${name}`, undefined, signal);
      if (state !== wanted) throw new Error(`${name} of ${id}: it is ${state}`);
    };
    return {
      async exec(argv) {
        const reply = await api.call<{ exit_code: number }>(
          'POST',
          `/sandboxes/${id}/exec`,
          { argv },
          signal,
        );
        if (reply.exit_code !== 0) throw new Error(`${argv.join(' ')}: ${JSON.stringify(reply)}`);
      },
      pause: () => command('pause', 'paused'),
      async flushed() {
        await appears(path.join(sandboxPaths(paths, id).snapshot, 'synced'));
      },
      resume: () => command('resume', 'running'),
      destroy: async () => void (await api.call('DELETE', `/sandboxes/${id}`, undefined, signal)),
    };
  };
  const create = async (memoryMb: number, cold: boolean): Promise<string> => {
    const size = cold ? { disk_size_mb: COLD_DISK_MB } : {};
    const body = { template: 'minimal', memory_mb: memoryMb, ...size };
    return (await api.call<SandboxView>('POST', '/sandboxes', body, signal)).id;
  };
  return {
    name: 'dormouse',
    // The first create of a shape is a boot; the saved machine that it asks for is made in the background.
    async prepare(memoryMb) {
      const saved = path.join(paths.templates, 'minimal', 'warm', `1x${memoryMb}`, 'meta.json');
      if (await exists(saved)) return;
      await lifeOf(await create(memoryMb, false)).destroy();
      await appears(saved);
    },
    async create({ memoryMb, cold }) {
      const id = await create(memoryMb, cold);
      created(id);
      return lifeOf(id);
    },
  };
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

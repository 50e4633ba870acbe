import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Server } from './server.ts';

/** What a Dormouse takes of the machine while no sandbox runs: it must be the same after every minute. */
export interface Counts {
  processes: number;
  /** File descriptors of the server. */
  descriptors: number;
  namespaces: number;
  mounts: number;
  loops: number;
}

/** Where the hosts of this machine say which slots they have. */
const SLOTS = '/run/dormouse/slots';
/** By how much a count may be above that of the first minute: connections to PostgreSQL come and go. */
const ROOM: Counts = { processes: 4, descriptors: 12, namespaces: 0, mounts: 0, loops: 0 };

/** Counts once. */
export async function countNow(server: Server): Promise<Counts> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return {
    processes: (await server.all()).size,
    descriptors: readdirSync(`/proc/${await server.pid()}/fd`).length,
    namespaces: slotsOf(server).length,
    mounts: mounts.filter((line) => line.includes(server.dataDir)).length,
    loops: backingFiles().filter((file) => file.startsWith(server.dataDir)).length,
  };
}

/** Counts that are above those of the first minute by more than there is room for. */
export function grown(first: Counts, now: Counts): string[] {
  return (Object.keys(first) as Array<keyof Counts>)
    .filter((name) => now[name] > first[name] + ROOM[name])
    .map((name) => `${name} grew from ${first[name]} to ${now[name]}`);
}

/** Namespaces of the host's slots. Other hosts of the machine have theirs, told by the file that each slot has. */
export function slotsOf(server: Server): string[] {
  const hostId = readFileSync(path.join(server.dataDir, 'host-id'), 'utf8').trim();
  return names(SLOTS)
    .filter((name) => /^\d+\.json$/.test(name) && text(path.join(SLOTS, name)).includes(`"${hostId}"`))
    .map((name) => `dormouse-${path.basename(name, '.json')}`);
}

/** Files under the loop devices of this machine. */
function backingFiles(): string[] {
  return names('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => text(`/sys/block/${name}/loop/backing_file`))
    .filter((file) => file !== '');
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Content of a file; empty when it went away. */
function text(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

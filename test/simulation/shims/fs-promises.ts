import { errno, type FileNode, type Node } from '../world/file-system.ts';
import { here, never } from '../world/process.ts';
import { theWorld } from '../world/world.ts';

/**
 * `node:fs/promises` as Dormouse's code sees it in the simulation. What changes something is an effect, which can fail or be
 * the last one; what looks only looks, unless the process that looks is dead.
 */

const full = (path: string) => (): Error => errno('ENOSPC', path);
const nameOf = (path: string): string =>
  path
    .split('/')
    .slice(-2)
    .join('/')
    .replace(/[0-9a-f]{8}(?=\.(tmp|partial)$)/, '…');

/** What takes its time on a real disk: others go on meanwhile. The rest is as quick as memory. */
const SLOW = /^(sync|rename)/;

function change<T>(label: string, path: string, act: () => T, tear?: () => void): Promise<T> {
  const world = theWorld();
  const options = { error: full(path), ...(tear && { tear }) };
  const named = `${label} ${nameOf(path)}`;
  return SLOW.test(label) ? world.effect(named, act, options) : world.suffer(named, act, options);
}

async function look<T>(act: () => T): Promise<T> {
  return here().process.isDead ? never() : act();
}

export async function readFile(path: string): Promise<string> {
  const { files, bootNumber } = theWorld();
  return await look(() => {
    if (path === '/proc/misc') return '236 device-mapper\n';
    if (path === '/proc/self/mounts') return '';
    if (path === '/proc/sys/kernel/random/boot_id') return `boot-${bootNumber}\n`;
    return files.file(path).text;
  });
}

export async function writeFile(path: string, text: string): Promise<void> {
  const { files } = theWorld();
  await change(
    'write',
    path,
    () => files.write(files.create(path), { text: String(text) }),
    () => files.write(files.create(path), { text: String(text).slice(0, String(text).length / 2) }),
  );
}

export async function open(path: string, flags = 'r'): Promise<unknown> {
  const { files, blocks } = theWorld();
  if (path.startsWith('/dev/mapper/')) {
    const cow = await look(() => blocks.cowOf(path.slice('/dev/mapper/'.length)));
    if (!cow) throw errno('ENXIO', path);
    // A device is opened to be flushed, through to the file that it stands on.
    return { sync: () => change('sync', path, () => files.sync(cow)), close: () => look(() => {}) };
  }
  const node: Node = await look(() => {
    if (flags === 'a') return files.find(path) ?? files.create(path);
    if (!flags.startsWith('w')) return files.find(path);
    return files.create(path, flags.includes('x'));
  }).then((found) => {
    if (!found) throw errno('ENOENT', path);
    return found;
  });
  const file = node as FileNode;
  return {
    writeFile: (text: string) =>
      change(
        'write',
        path,
        () => files.write(file, { text }),
        () => files.write(file, { text: text.slice(0, text.length / 2) }),
      ),
    sync: () => change('sync', path, () => files.sync(node)),
    // Of bytes only the header of a copy-on-write file is read.
    read: (buffer: Buffer) => look(() => void cowHeader(file).copy(buffer)),
    // And written as it is.
    write: () => change('write', path, () => {}),
    close: () => look(() => {}),
  };
}

/** `struct disk_header` of drivers/md/dm-snap-persistent.c; zeros before the kernel has used the file. */
function cowHeader(file: FileNode): Buffer {
  const header = Buffer.alloc(16);
  if (file.model?.used !== true) return header;
  for (const [at, value] of [0x70416e53, file.model.valid ? 1 : 0, 1, 8].entries())
    header.writeUInt32LE(value, at * 4);
  return header;
}

export async function rename(from: string, to: string): Promise<void> {
  await change('rename to', to, () => theWorld().files.rename(from, to));
}

export async function rm(path: string, { force = false } = {}): Promise<void> {
  const { files } = theWorld();
  // Removing what is not there changes nothing, so nothing can befall it.
  if (!files.find(path)) {
    await look(() => {
      if (!force) throw errno('ENOENT', path);
    });
    return;
  }
  await change('remove', path, () => files.remove(path));
}

export async function mkdir(path: string): Promise<void> {
  const { files } = theWorld();
  if (files.find(path)) return await look(() => {});
  await change('make', path, () => files.makeFolders(path));
}

export async function truncate(path: string, bytes = 0): Promise<void> {
  const { files } = theWorld();
  await change('truncate', path, () => files.write(files.file(path), { bytes }));
}

export async function copyFile(from: string, to: string, _mode?: number): Promise<void> {
  await change('clone', to, () => theWorld().files.copy(from, to, true));
}

export const chmod = (path: string): Promise<void> => look(() => void theWorld().files.file(path));

export const access = (path: string): Promise<void> =>
  look(() => {
    if (!theWorld().files.find(path)) throw errno('ENOENT', path);
  });

export const readdir = (path: string): Promise<string[]> =>
  look(() => (path === '/proc' ? [] : [...theWorld().files.folder(path).entries.keys()].sort()));

export const realpath = (path: string): Promise<string> =>
  look(() => {
    if (!theWorld().files.find(path)) throw errno('ENOENT', path);
    return path;
  });

export const readlink = (path: string): Promise<string> =>
  look(() => {
    throw errno('EINVAL', path);
  });

export const stat = (path: string, { bigint = false } = {}): Promise<unknown> =>
  look(() => {
    const node = theWorld().files.find(path);
    if (!node) throw errno('ENOENT', path);
    const bytes = node.kind === 'file' ? node.bytes : 0;
    const changedMs = node.kind === 'file' ? node.changedMs : 0;
    return {
      dev: 0x801,
      ino: node.inode,
      size: bigint ? BigInt(bytes) : bytes,
      blocks: Math.ceil(bytes / 512),
      mtimeMs: changedMs,
      mtimeNs: BigInt(changedMs) * 1_000_000n,
      isDirectory: () => node.kind === 'folder',
    };
  });

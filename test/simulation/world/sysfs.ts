import type { BlockDevices } from './block.ts';

/** What /sys/block shows of loop and device-mapper devices: files, and names in folders. Undefined where there is nothing. */

const SECTOR = 512;

export function sysfsText(blocks: BlockDevices, path: string): string | undefined {
  const [, block = '', file = ''] = /^\/sys\/block\/([^/]+)\/(.+)$/.exec(path) ?? [];
  if (block.startsWith('loop')) {
    const loop = blocks.loops.get(Number(block.slice(4)));
    if (!loop) return undefined;
    const { path: backing, deleted } = blocks.backingFile(loop);
    switch (file) {
      case 'loop/backing_file':
        return `${backing}${deleted ? ' (deleted)' : ''}\n`;
      case 'loop/autoclear':
        return loop.autoclear ? '1\n' : '0\n';
      case 'ro':
        return loop.readOnly ? '1\n' : '0\n';
      case 'size':
        return `${Math.floor(loop.file.bytes / SECTOR)}\n`;
      default:
        return undefined;
    }
  }
  const device = [...blocks.devices.values()].find(({ minor }) => block === `dm-${minor}`);
  switch (device && file) {
    case 'dm/name':
      return `${device?.name}\n`;
    case 'dm/suspended':
      return '0\n';
    case 'size':
      return `${device?.sectors}\n`;
    default:
      return undefined;
  }
}

export function sysfsNames(blocks: BlockDevices, path: string): string[] | undefined {
  if (path === '/sys/block')
    return [
      ...[...blocks.loops.keys()].map((number) => `loop${number}`),
      ...[...blocks.devices.values()].map(({ minor }) => `dm-${minor}`),
    ];
  const [, block = '', folder = ''] = /^\/sys\/block\/([^/]+)\/(holders|slaves)$/.exec(path) ?? [];
  if (folder === 'holders') return blocks.usersOf(block).map(({ minor }) => `dm-${minor}`);
  return [...blocks.devices.values()].find(({ minor }) => block === `dm-${minor}`)?.slaves;
}

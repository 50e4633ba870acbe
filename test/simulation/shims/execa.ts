import type { BlockDevices } from '../world/block.ts';
import { here, never } from '../world/process.ts';
import { theWorld, type World } from '../world/world.ts';

/** `execa` as Dormouse's code sees it in the simulation: losetup, dmsetup, dd and flock, in the words of the real ones. */

export class ExecaError extends Error {
  readonly code: string | undefined = undefined;
  readonly timedOut: boolean = false;
  readonly exitCode: number;
  readonly stderr: string;
  readonly shortMessage: string;

  constructor(command: string, exitCode: number, stderr: string) {
    super(`${command}: ${stderr}`);
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.shortMessage = `Command failed with exit code ${exitCode}`;
  }
}

interface Options {
  input?: string;
  cancelSignal?: AbortSignal;
}

export function execa(program: string, args: readonly string[], options: Options = {}): unknown {
  if (program === 'flock') return flock(theWorld());
  if (program === 'dd') return dd(theWorld(), args, options);
  return command(program, args, options);
}

async function command(program: string, args: readonly string[], { input, cancelSignal }: Options) {
  const world = theWorld();
  const run = (): { stdout: string } => ({ stdout: carryOut(world.blocks, program, args, input ?? '') });
  const verb = args.find((arg) => !/^--(find|show)$/.test(arg)) ?? '';
  if (cancelSignal?.aborted) throw cancelSignal.reason;
  // Looking changes nothing.
  if (/^(status|table|info|--list)$/.test(args[0] ?? '')) {
    await world.turn(`${program} ${verb}`);
    return here().process.isDead ? never() : run();
  }
  return await world.effect(`${program} ${verb.replace(/^--/, '')}`, run, {
    error: () => new ExecaError(program, 1, `${program}: made to fail`),
  });
}

function carryOut(blocks: BlockDevices, program: string, args: readonly string[], input: string): string {
  return program === 'losetup' ? losetup(blocks, args) : dmsetup(blocks, args, input);
}

function losetup(blocks: BlockDevices, args: readonly string[]): string {
  if (args.includes('--list'))
    return JSON.stringify({
      loopdevices: [...blocks.loops.values()].map((loop) => {
        const { path, deleted } = blocks.backingFile(loop);
        return {
          name: `/dev/loop${loop.number}`,
          'back-file': `${path}${deleted ? ' (deleted)' : ''}`,
          'back-ino': loop.file.inode,
          // As stat(2) gives it for the shim's 0x801.
          'back-maj:min': '8:1',
          ro: loop.readOnly,
          autoclear: loop.autoclear,
        };
      }),
    });
  if (args[0] === '--detach') {
    const device = String(args[1]);
    if (!blocks.detachLoop(Number(device.replace('/dev/loop', ''))))
      throw new ExecaError('losetup', 1, `losetup: ${device}: detach failed: No such device or address`);
    return '';
  }
  return `/dev/loop${blocks.bindLoop(String(args.at(-1)), args.includes('--read-only'))}\n`;
}

function dmsetup(blocks: BlockDevices, [verb = '', ...rest]: readonly string[], input: string): string {
  const name = rest[0] ?? '';
  const failed = (ioctl: string, why: string): ExecaError =>
    new ExecaError('dmsetup', 1, `device-mapper: ${ioctl} ioctl on ${name} failed: ${why}\nCommand failed.`);
  try {
    switch (verb) {
      case 'create':
        blocks.createDevice(name, input, String(rest[rest.indexOf('--uuid') + 1]));
        return '';
      case 'remove':
        blocks.removeDevice(name);
        return '';
      case 'status':
        if (name === '--target')
          return [...blocks.devices.keys()]
            .flatMap((each) => blocks.status(each)?.replace(/^/, `${each}: `) ?? [])
            .join('\n');
        return blocks.status(name) ?? '';
      case 'table':
        return [...blocks.devices.values()]
          .flatMap((device) => device.table.map((line) => `${device.name}: ${numbered(blocks, line)}`))
          .join('\n');
      case 'info':
        return (
          [...blocks.devices.values()]
            .map((device) => `${device.name}/${device.uuid}/${device.table.length > 0 ? 'Live' : 'None'}`)
            .join('\n') || 'No devices found'
        );
      default:
        throw new Error(`the simulation knows no dmsetup ${verb}`);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBUSY') throw failed(verb, 'Device or resource busy');
    if (code === 'ENXIO') throw failed(verb === 'create' ? 'reload' : verb, 'No such device or address');
    throw error;
  }
}

/** A line of a table with devices as `major:minor`, as the kernel shows it. */
function numbered(blocks: BlockDevices, line: string): string {
  return line
    .replace(/\/dev\/loop(\d+)/g, '7:$1')
    .replace(/\/dev\/mapper\/(\S+)/g, (_, name: string) => `253:${blocks.devices.get(name)?.minor ?? 0}`);
}

/** dd(1), as a disk is copied into an image with it. */
async function dd(world: World, args: readonly string[], { cancelSignal }: Options): Promise<unknown> {
  const operand = (name: string): string =>
    args.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  if (cancelSignal?.aborted) throw cancelSignal.reason;
  const copy = (): void => world.blocks.copyOut(operand('if').replace('/dev/mapper/', ''), operand('of'));
  return await world.effect('dd', copy, {
    error: () => new ExecaError('dd', 1, 'dd: error writing: No space left on device'),
  });
}

/** flock(1) with cat, as `lockDataDir` starts it: the lock is the child's, and the child goes with whoever started it. */
function flock(world: World): unknown {
  const { process } = here();
  const isFree = world.lockHolder === undefined;
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    if (!isFree) reject(new ExecaError('flock', 75, ''));
  });
  ended.catch(() => {});
  const release = (): void => {
    if (world.lockHolder === process) world.lockHolder = undefined;
  };
  if (isFree) {
    world.lockHolder = process;
    process.atDeath(release);
  }
  return Object.assign(ended, {
    stdin: {
      on: () => {},
      write: () => {},
      end: () => {
        release();
        end();
      },
    },
    stdout: { once: (_: string, called: () => void) => void (isFree && Promise.resolve().then(called)) },
    stderr: {},
    nodeChildProcess: {},
  });
}

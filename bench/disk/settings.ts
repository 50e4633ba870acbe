import path from 'node:path';
import { parseArgs } from 'node:util';

/** What is measured, and how often. Plain data: the part inside the kernel gets it as JSON. */
export interface MeasureSettings {
  /** How often each figure is taken. */
  rounds: number;
  /** Numbers of disks that are made from one image. */
  disks: readonly number[];
  /** Most full copies that are made at once; more are not measured. */
  copies: number;
  /** Size of the image's file system, and of the random data in it, in MiB. */
  imageMb: number;
  dataMb: number;
  /** Disks that are attached and detached together when operations are counted. */
  operations: number;
  /** Numbers of other disks that are attached meanwhile. */
  others: readonly number[];
  /** Folder to work in, on a file system with reflinks; the one for temporary files when absent. */
  dir?: string | undefined;
}

export interface Settings extends MeasureSettings {
  /** Measures on this machine's own kernel. */
  here: boolean;
  /** Longest time for a run in a kernel of its own, in seconds. */
  limitS: number;
  json: string;
  help: boolean;
}

export const HELP = `Usage: npm run bench:disk -- [options]

Measures what it takes to make disks from one image, with device-mapper, with
reflinks and as full copies, and how many device-mapper disks are attached and
detached in a second through the host's lane, beside the bare commands. It runs
in a stock kernel in QEMU that has device-mapper (emulated: some ten times slower
than a machine, so look at the ratios); \`bench/disk/run.ts --here\` runs it on this
machine's own kernel.

  --rounds N       how often each figure is taken (default 5)
  --disks LIST     numbers of disks to make from one image (default 1,10,100)
  --copies N       most full copies to make at once; more are not measured, and
                   the table says so (default 10)
  --image-mb N     size of the image, an ext4 file system (default 256)
  --data-mb N      random data in it (default 100)
  --operations N   disks that are attached and detached together (default 20)
  --others LIST    numbers of other disks attached meanwhile (default 0,100)
  --here           on this machine's own kernel; needs root and device-mapper
  --dir FOLDER     with --here: folder to work in, on XFS or Btrfs with reflinks
  --limit SECONDS  end the kernel after that long (default 3600)
  --json FILE      file for all figures (default bench/results/disk.json)
  --help           print this`;

const DEFAULT_JSON = path.join(import.meta.dirname, '..', 'results', 'disk.json');
/** A file system of that size has room for its journal and little else. */
const IMAGE_MIN_MB = 16;
/** What an ext4 file system takes for itself, and some; the data must fit into the rest. */
const FILE_SYSTEM_SHARE = 0.2;

/** Reads the command line. Throws a `RangeError` or `TypeError` that says what is wrong with it. */
export function settingsOf(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      disks: { type: 'string', default: '1,10,100' },
      copies: { type: 'string', default: '10' },
      'image-mb': { type: 'string', default: '256' },
      'data-mb': { type: 'string', default: '100' },
      operations: { type: 'string', default: '20' },
      others: { type: 'string', default: '0,100' },
      here: { type: 'boolean', default: false },
      dir: { type: 'string' },
      limit: { type: 'string', default: '3600' },
      json: { type: 'string', default: DEFAULT_JSON },
      help: { type: 'boolean', default: false },
    },
  });
  const list = (
    name: 'rounds' | 'disks' | 'copies' | 'image-mb' | 'data-mb' | 'operations' | 'others' | 'limit',
    least: number,
  ): number[] => {
    const numbers = values[name].split(',').map(Number);
    const wrong = numbers.find((number) => !Number.isInteger(number) || number < least);
    if (wrong !== undefined || values[name] === '')
      throw new RangeError(`--${name} takes whole numbers of at least ${least}, not "${values[name]}"`);
    return numbers;
  };
  const whole = (name: Parameters<typeof list>[0], least: number): number => {
    const [number = least, ...more] = list(name, least);
    if (more.length > 0) throw new RangeError(`--${name} takes one number, not "${values[name]}"`);
    return number;
  };
  if (values.dir !== undefined && !values.here) throw new RangeError('--dir goes with --here');
  const imageMb = whole('image-mb', IMAGE_MIN_MB);
  const dataMb = whole('data-mb', 1);
  if (dataMb > imageMb * (1 - FILE_SYSTEM_SHARE))
    throw new RangeError(`--data-mb ${dataMb} does not fit into an image of ${imageMb} MiB`);
  return {
    rounds: whole('rounds', 1),
    disks: list('disks', 1),
    copies: whole('copies', 0),
    imageMb,
    dataMb,
    operations: whole('operations', 1),
    others: list('others', 0),
    dir: values.dir,
    here: values.here,
    limitS: whole('limit', 1),
    json: values.json,
    help: values.help,
  };
}

/** Space that a run takes at its peak, in MiB: the image twice while it is made, the copies, and what is written meanwhile. */
export function neededMb({ disks, copies, imageMb, dataMb }: MeasureSettings): number {
  const most = Math.max(0, ...disks.filter((count) => count <= copies));
  return imageMb + (most + 2) * dataMb + 512;
}

import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { DiskRef } from '../../src/drivers/disk/index.ts';
import { type BareDisk, bare, byChildProcess, byExeca } from './bare.ts';
import type { DiskHost } from './host.ts';
import { turned } from './making.ts';
import type { MeasureSettings } from './settings.ts';
import { type Work, watchWork } from './work.ts';

/**
 * Ways to attach and detach device-mapper disks: through the host's lane, all asked at once or each when the one before it
 * is done, and the bare commands one after the other, started by execa as Dormouse does or by Node's own `execFile`.
 */
export const OPERATION_WAYS = ['lane, at once', 'lane, in turn', 'bare, execa', 'bare, execFile'] as const;
export type OperationWay = (typeof OPERATION_WAYS)[number];
export const OPERATIONS = ['create and attach', 'detach'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** How long an operation took, of some that were done together, in one round. */
export interface Operated {
  way: OperationWay;
  operation: Operation;
  /** Disks that were attached meanwhile, beside the one that holds the origin. */
  others: number;
  round: number;
  /** Milliseconds for each operation. */
  ms: number;
}

/** What one operation through the lane does. */
export interface Worked extends Work {
  operation: Operation;
  others: number;
}

/** Some disks that are attached together, and detached together. */
interface Operator {
  attach(count: number): Promise<void>;
  detach(): Promise<void>;
  forget(): Promise<void>;
}

/** Counts operations with each number of other disks. Calls `operated` with each figure, `worked` with what one operation does. */
export async function measureOperations(
  host: DiskHost,
  { rounds, operations, others }: MeasureSettings,
  heard: { operated(figure: Operated): void; worked(work: Worked): void },
  progress: (what: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // One disk holds the origin's loop all the time, as on a host on which something runs.
  const keeper = await makeDisk(host, signal);
  await host.deviceMapper.attach(keeper, signal);
  const attached: DiskRef[] = [];
  for (const count of [...others].sort((a, b) => a - b)) {
    progress(`${count} other disks are attached`);
    for (let made = attached.length; made < count; made += 1) {
      signal.throwIfAborted();
      const disk = await makeDisk(host, signal);
      await host.deviceMapper.attach(disk, signal);
      attached.push(disk);
    }
    const operators = operatorsOf(host, signal);
    for (const way of OPERATION_WAYS) await operate(operators[way], 1);
    for (let round = 0; round < rounds; round += 1) {
      for (const way of turned(OPERATION_WAYS, round)) {
        signal.throwIfAborted();
        progress(`round ${round + 1} of ${rounds}: ${operations} disks, ${way}, beside ${count} others`);
        const took = await operate(operators[way], operations);
        for (const operation of OPERATIONS)
          heard.operated({ way, operation, others: count, round, ms: took[operation] / operations });
      }
    }
    for (const work of await workOf(host, signal)) heard.worked({ ...work, others: count });
  }
  for (const disk of [...attached, keeper]) await host.deviceMapper.remove(disk, signal);
}

async function makeDisk(host: DiskHost, signal: AbortSignal): Promise<DiskRef> {
  const disk = host.disk();
  await host.deviceMapper.create({ ...disk, imagePath: host.imagePath, sizeMb: host.imageMb }, signal);
  return disk;
}

/** Attaches, detaches and forgets. Returns how long the first two took, in milliseconds. */
async function operate(operator: Operator, count: number): Promise<Record<Operation, number>> {
  const startedMs = performance.now();
  try {
    await operator.attach(count);
    const attachedMs = performance.now();
    await operator.detach();
    const detachedMs = performance.now();
    return { 'create and attach': attachedMs - startedMs, detach: detachedMs - attachedMs };
  } finally {
    await operator.forget();
  }
}

function operatorsOf(host: DiskHost, signal: AbortSignal): Record<OperationWay, Operator> {
  const origin = host.registry.list()[0]?.device;
  if (origin === undefined) throw new Error('the image has no loop device');
  const bareBy = (run: typeof byExeca, name: string): Operator => {
    const way = bare(run, path.join(host.dir, name), origin, host.imageMb);
    const disks: BareDisk[] = [];
    const detach = async (): Promise<void> => {
      // Off the list first: a loop device that was detached may be somebody else's the next moment.
      for (let disk = disks.shift(); disk; disk = disks.shift()) await way.detach(disk);
    };
    return {
      async attach(count) {
        for (let index = 0; index < count; index += 1) disks.push(await way.attach(index));
      },
      detach,
      async forget() {
        await detach();
        await rm(path.join(host.dir, name), { recursive: true, force: true });
      },
    };
  };
  const throughLane = (
    each: (disks: DiskRef[], run: (disk: DiskRef) => Promise<unknown>) => Promise<void>,
  ) => {
    let disks: DiskRef[] = [];
    return {
      async attach(count: number) {
        disks = Array.from({ length: count }, () => host.disk());
        await each(disks, async (disk) => {
          const { imagePath, imageMb } = host;
          await host.deviceMapper.create({ ...disk, imagePath, sizeMb: imageMb }, signal);
          await host.deviceMapper.attach(disk, signal);
        });
      },
      detach: () => each(disks, (disk) => host.deviceMapper.detach(disk, signal)),
      async forget() {
        for (const { dir } of disks) await rm(dir, { recursive: true, force: true });
      },
    };
  };
  return {
    'lane, at once': throughLane(async (disks, run) => void (await Promise.all(disks.map(run)))),
    'lane, in turn': throughLane(async (disks, run) => {
      for (const disk of disks) await run(disk);
    }),
    'bare, execa': bareBy(byExeca, 'bare-execa'),
    'bare, execFile': bareBy(byChildProcess, 'bare-exec-file'),
  };
}

/** What one create and attach, and one detach, do. Not part of any measure: looking costs time, too. */
async function workOf(host: DiskHost, signal: AbortSignal): Promise<Array<Omit<Worked, 'others'>>> {
  let disk: DiskRef | undefined;
  const attach = await watchWork(async () => {
    disk = await makeDisk(host, signal);
    await host.deviceMapper.attach(disk, signal);
  });
  const detach = await watchWork(async () => {
    if (disk) await host.deviceMapper.detach(disk, signal);
  });
  if (disk) await rm(disk.dir, { recursive: true });
  return [
    { operation: 'create and attach', ...attach },
    { operation: 'detach', ...detach },
  ];
}

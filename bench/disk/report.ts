import { table } from '../../src/cli/table.ts';
import { quantile } from '../lifecycle/statistics.ts';
import { BASELINE, besides, laneGoals, type Ratio, ratioOf } from './goals.ts';
import { type DiskWay, type Made, WAYS } from './making.ts';
import type { Figures } from './measure.ts';
import { OPERATION_WAYS, OPERATIONS } from './operations.ts';
import type { Settings } from './settings.ts';

export interface Run {
  figures: Figures;
  settings: Settings;
  at: string;
  /** Whether the kernel was emulated, by QEMU on this machine. */
  emulated: boolean;
  /** Load average of the last minute on this machine when the run began. */
  load: number;
}

const MIB = 2 ** 20;
const median = (values: readonly number[]): number => quantile(values, 0.5);
const spread = (values: readonly number[], show: (value: number) => string): string =>
  `${show(median(values))} (${show(quantile(values, 0))}–${show(quantile(values, 1))})`;
const ms = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const mib = (bytes: number): string => (bytes / MIB).toFixed(bytes < 10 * MIB ? 2 : 0);
const times = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ×`;
const ratioText = ({ median: value, least, greatest }: Ratio): string =>
  `${times(value)} (${times(least)}–${times(greatest)})`;

/** The figures for a person: medians, and the least and the greatest in parentheses. */
export function asText(run: Run): string {
  const { figures, settings, emulated, load } = run;
  const { facts } = figures;
  return [
    `${facts.cores} cores (${facts.processor}), Linux ${facts.kernel}, Node ${facts.node}`,
    ...(emulated ? ['In QEMU, with emulated processors: times are some ten times those of a machine.'] : []),
    `Load average at start ${load.toFixed(2)}. Medians of ${settings.rounds} rounds, least and greatest in parentheses.`,
    '',
    `Disks from one image: ext4 of ${settings.imageMb} MiB with ${settings.dataMb} MiB of random data. Milliseconds and MiB.`,
    makingTable(figures.made, settings),
    '',
    `Operations on device-mapper disks, ${settings.operations} of them, in milliseconds for each.`,
    operationsTable(figures),
    '',
    'What one operation through the lane does (looked at apart, one at a time).',
    workTable(figures),
  ].join('\n');
}

function makingTable(made: readonly Made[], { disks, copies }: Settings): string {
  const of = (way: DiskWay, count: number): Made[] =>
    made.filter((one) => one.way === way && one.disks === count);
  const rows = disks.flatMap((count) =>
    WAYS.map((way) => {
      const figures = of(way, count);
      if (figures.length === 0)
        return [String(count), way, `not measured: --copies is ${copies}`, '', '', '', '', ''];
      const each = figures.map((figure) => figure.ms / count);
      const beside = ratioOf(
        figures.flatMap((figure, round) => {
          const copied = of('copy', count)[round];
          return copied && way !== 'copy' ? [[figure.ms, copied.ms] as const] : [];
        }),
      );
      return [
        String(count),
        way,
        spread(
          figures.map((figure) => figure.ms),
          ms,
        ),
        ms(median(each)),
        ms(median(figures.map((figure) => figure.syncedMs))),
        mib(median(figures.map((figure) => figure.ownBytes))),
        mib(median(figures.map((figure) => figure.storeBytes))),
        Number.isNaN(beside.median) ? '' : ratioText(beside),
      ];
    }),
  );
  return table(
    ['disks', 'way', 'made', 'each', 'made, on disk', "files' MiB", 'store MiB', 'beside copies'],
    rows,
  );
}

function operationsTable({ operated }: Figures): string {
  const goals = laneGoals(operated);
  const rows = othersOf(operated).flatMap((others) =>
    OPERATIONS.flatMap((operation) =>
      OPERATION_WAYS.map((way) => {
        const same = { way, operation, others };
        const took = operated
          .filter((one) => one.way === way && one.operation === operation && one.others === others)
          .map((one) => one.ms);
        const goal = goals.find(
          (one) => one.way === way && one.operation === operation && one.others === others,
        );
        return [
          String(others),
          operation,
          way,
          spread(took, ms),
          (1000 / median(took)).toFixed(1),
          way === BASELINE ? '' : ratioText(besides(operated, same, BASELINE)),
          goal ? `≤ ${goal.limit} × ${goal.met ? 'met' : 'NOT MET'}` : '',
        ];
      }),
    ),
  );
  return table(['others', 'operation', 'way', 'each', 'per second', `beside ${BASELINE}`, 'goal'], rows);
}

function workTable({ worked }: Figures): string {
  return table(
    ['others', 'operation', 'ms', 'in processes', 'in sysfs', 'sysfs reads', 'processes'],
    worked.map((work) => [
      String(work.others),
      work.operation,
      ms(work.ms),
      ms(work.processMs),
      ms(work.sysfsMs),
      String(work.sysfsReads),
      work.processes.join(', '),
    ]),
  );
}

function othersOf(operated: Figures['operated']): number[] {
  return [...new Set(operated.map(({ others }) => others))];
}

/** The figures for a program: in milliseconds and bytes, with every sample. */
export function asJson({ figures, settings, at, emulated, load }: Run): string {
  const { disks, copies } = settings;
  return JSON.stringify(
    {
      v: 1,
      at,
      machine: { ...figures.facts, emulated, load },
      settings: {
        rounds: settings.rounds,
        disks,
        copies,
        image_mb: settings.imageMb,
        data_mb: settings.dataMb,
        operations: settings.operations,
        others: settings.others,
      },
      made: figures.made.map((one) => ({
        way: one.way,
        disks: one.disks,
        ms: one.ms,
        synced_ms: one.syncedMs,
        own_bytes: one.ownBytes,
        store_bytes: one.storeBytes,
      })),
      not_measured: disks
        .filter((count) => count > copies)
        .map((count) => ({ way: 'copy', disks: count, because: `--copies is ${copies}` })),
      operations: figures.operated,
      goals: laneGoals(figures.operated),
      work: figures.worked.map((one) => ({
        operation: one.operation,
        others: one.others,
        ms: one.ms,
        process_ms: one.processMs,
        sysfs_ms: one.sysfsMs,
        sysfs_reads: one.sysfsReads,
        processes: one.processes,
      })),
    },
    null,
    2,
  );
}

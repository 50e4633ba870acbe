import { table } from '../../src/cli/table.ts';
import { inWords, lifeGoals, memoryGoals } from './goals.ts';
import { MEASURES, type Measure } from './life.ts';
import type { MachineFacts } from './machine-facts.ts';
import { type MemoryMeasure, SIZES_MB, WORKING_SET_MB } from './memory.ts';
import { type Samples, summarize } from './statistics.ts';

export interface Results {
  facts: MachineFacts;
  memoryMb: number;
  dormouse: Samples<Measure>;
  bare: Samples<Measure>;
  memory: Samples<MemoryMeasure>;
}

/** The figures for a person. */
export function asText({ facts, memoryMb, dormouse, bare, memory }: Results): string {
  const goals = lifeGoals(dormouse, bare);
  const life = dormouse.names().map((measure) => {
    const [ours, plain] = [summarize(dormouse.of(measure)), summarize(bare.of(measure))];
    return [
      MEASURES[measure],
      String(ours.rounds),
      ms(ours.p50),
      ms(ours.p95),
      ms(plain.p50),
      ms(plain.p95),
      ratio(ours.p50 / plain.p50),
      (goals.get(measure) ?? []).map(inWords).join('; '),
    ];
  });
  const [small, large] = SIZES_MB;
  const sizes = [...memoryGoals(memory)].map(([step, goal]) => {
    const [less, more] = [summarize(memory.of(`${step} ${small}`)), summarize(memory.of(`${step} ${large}`))];
    return [step, String(less.rounds), ms(less.p50), ms(more.p50), ratio(goal.value), inWords(goal)];
  });
  return [
    factsAsText(facts),
    '',
    `A life of a guest of ${memoryMb} MiB, in milliseconds: through HTTP, and the same steps bare.`,
    table(['step', 'rounds', 'p50', 'p95', 'bare p50', 'bare p95', 'ratio', 'goal'], life),
    ...(memory.names().length === 0
      ? []
      : [
          '',
          `Two sizes of guest memory, ${WORKING_SET_MB} MiB of it dirty, in milliseconds through HTTP.`,
          table(['step', 'rounds', `${small} MiB p50`, `${large} MiB p50`, 'ratio', 'goal'], sizes),
        ]),
  ].join('\n');
}

/** The figures for a program: in milliseconds, with every sample. */
export function asJson({ facts, memoryMb, dormouse, bare, memory }: Results): string {
  const goals = lifeGoals(dormouse, bare);
  const told = (samples: readonly number[]) => ({ ...summarize(samples), samples });
  return JSON.stringify(
    {
      v: 1,
      machine: facts,
      memory_mb: memoryMb,
      steps: dormouse.names().map((measure) => ({
        name: MEASURES[measure],
        dormouse_ms: told(dormouse.of(measure)),
        bare_ms: told(bare.of(measure)),
        ratio: summarize(dormouse.of(measure)).p50 / summarize(bare.of(measure)).p50,
        goals: goals.get(measure) ?? [],
      })),
      memory_sizes: {
        working_set_mb: WORKING_SET_MB,
        steps: Object.fromEntries(memory.names().map((name) => [name, told(memory.of(name))])),
        goals: memory.names().length === 0 ? {} : Object.fromEntries(memoryGoals(memory)),
      },
    },
    null,
    2,
  );
}

export function factsAsText(facts: MachineFacts): string {
  return [
    `${facts.cores} cores (${facts.processor}), Linux ${facts.kernel}, Node ${facts.node}`,
    `QEMU ${facts.qemu} with ${facts.accelerator}; load average at start ${facts.load.toFixed(2)}`,
  ].join('\n');
}

export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
const ratio = (value: number): string => `${value.toFixed(2)} ×`;

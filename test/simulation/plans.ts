import {
  EFFECT_FAULTS,
  FAULTS,
  type Fault,
  type FaultClass,
  type FaultKind,
  type FaultPlan,
  IMPOSSIBLE,
  STEP_FAULTS,
} from './faults.ts';
import { run } from './run.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { randomFrom } from './tape.ts';

/** Which faults a run is to have. */

/** A run that is to be made. */
export interface PlannedRun {
  scenario: Scenario;
  faults: Fault[];
  /** Draws the choices of the tape; the oldest task goes on when absent. */
  seed: number | undefined;
}

type Place = FaultPlan['places'][number];

/**
 * What can befall effects on files. Others would be the same run again: until a file has its name, nobody sees what was written
 * to it, and a failed call of the file system has not acted.
 */
const FILE_FAULTS: Readonly<Record<string, readonly FaultKind<'effect'>[]>> = {
  write: ['fails', 'torn'],
  truncate: ['fails', 'agent killed after'],
  sync: ['fails', 'power cut after'],
  rename: ['fails', 'agent killed after', 'power cut after'],
  make: ['fails', 'agent killed after', 'power cut after'],
  clone: ['fails', 'agent killed after', 'power cut after'],
  remove: ['fails', 'agent killed after', 'power cut after'],
};

/** What can befall the place. */
function kindsAt({ class: of, label }: Place): readonly FaultKind[] {
  if (of === 'step') return STEP_FAULTS.filter((kind) => !IMPOSSIBLE[label]?.includes(kind));
  if (of !== 'effect') return FAULTS[of];
  const [verb = ''] = label.split(' ', 1);
  return FILE_FAULTS[verb] ?? EFFECT_FAULTS.filter((kind) => kind !== 'torn');
}

/** Faults of steps come first: there are few of them, and they show most. */
const ORDER: readonly FaultClass[] = ['step', 'message', 'stream', 'record', 'effect'];

/** Every fault at every place that the scenario passes without one. */
export async function* oneFaultRuns(scenario: Scenario): AsyncGenerator<PlannedRun> {
  const { plan } = await run({ scenario, faults: [], keepsPlaces: true });
  const inOrder = [...plan.places].sort((a, b) => ORDER.indexOf(a.class) - ORDER.indexOf(b.class));
  for (const place of inOrder)
    for (const kind of kindsAt(place))
      yield { scenario, faults: [{ class: place.class, at: place.at, kind }], seed: undefined };
}

/** Every pair of step faults: those that a single fault cannot show, such as a way back that fails. */
export async function* twoFaultRuns(scenario: Scenario): AsyncGenerator<PlannedRun> {
  const { plan } = await run({ scenario, faults: [], keepsPlaces: true });
  for (const place of plan.places.filter((one) => one.class === 'step')) {
    for (const kind of kindsAt(place)) {
      const first: Fault = { class: 'step', at: place.at, kind };
      // What comes after it is seen by having it happen.
      const { plan: after } = await run({ scenario, faults: [first], keepsPlaces: true });
      for (const next of after.places.filter((one) => one.class === 'step' && one.at > place.at))
        for (const second of kindsAt(next))
          yield { scenario, faults: [first, { class: 'step', at: next.at, kind: second }], seed: undefined };
    }
  }
}

/** How many faults a random run has at most. */
const FAULTS_MAX = 4;
/** How many places of each class there are in a run, about: faults beyond find nothing. */
const PLACES: Record<FaultClass, number> = { step: 40, effect: 250, message: 40, stream: 30, record: 30 };

/** The run of a seed. */
export function randomRun(seed: number): PlannedRun {
  const next = randomFrom(seed);
  const draw = <T>(from: readonly T[]): T => from[next() % from.length] as T;
  const scenario = draw(SCENARIOS);
  const faults = Array.from({ length: next() % (FAULTS_MAX + 1) }, (): Fault => {
    // Half of them are faults of steps: there are fewer of these, and each decides more.
    const of = next() % 2 === 0 ? 'step' : draw(Object.keys(FAULTS) as FaultClass[]);
    return { class: of, at: next() % PLACES[of], kind: draw(FAULTS[of] as readonly FaultKind[]) };
  });
  return { scenario, faults, seed };
}

/** The choices of a run's tape: a sequence of its own, so that another plan of faults leaves it as it is. */
export function choicesOf({ seed }: PlannedRun): (() => number) | undefined {
  return seed === undefined ? undefined : randomFrom(seed + 1_000_003);
}

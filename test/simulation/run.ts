import type { Frame } from '../../src/machines/recording.ts';
import {
  checkDelivery,
  checkLastCommand,
  checkReads,
  checkRefused,
  checkSizes,
  checkTemplates,
} from './answers.ts';
import type { Client } from './client.ts';
import { type Fault, type FaultHit, FaultPlan } from './faults.ts';
import { checkEvents, differences, isAtRest, teamTemplates } from './invariants.ts';
import { IMAGE_MB, PATHS, SHAPE, TEMPLATE } from './paths.ts';
import type { Scenario } from './scenarios.ts';
import { Simulation } from './simulation.ts';
import { Tape } from './tape.ts';
import { FileSystem } from './world/file-system.ts';
import { World } from './world/world.ts';

/** How long everything may take, in simulated milliseconds. */
const START_LIMIT_MS = 60_000;
const CLIENTS_LIMIT_MS = 3 * 3_600_000;
const REST_LIMIT_MS = 900_000;
const BACK_LIMIT_MS = 2 * 3_600_000;
const LATE_LIMIT_MS = 60_000;
const EXAMINATION_LIMIT_MS = 1_800_000;

export interface RunOptions {
  scenario: Scenario;
  faults: readonly Fault[];
  /** The first choices. */
  tape?: readonly number[];
  /** Draws the choices after them. */
  more?: (() => number) | undefined;
  /** Whether to keep what happened, line by line. */
  tells?: boolean;
  /** Whether to keep the places that a fault could have hit. */
  keepsPlaces?: boolean;
}

export interface RunResult {
  violations: readonly string[];
  hits: readonly FaultHit[];
  plan: FaultPlan;
  traceHash: number;
  /** The choices that were made. */
  choices: readonly number[];
  simulatedMs: number;
  story: readonly string[];
  frames: readonly Frame[];
}

/** Carries one run out: clients and faults, then rest without faults, then an examination of everything. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { scenario, faults, tape = [], more, tells = false, keepsPlaces = false } = options;
  const plan = new FaultPlan(faults, keepsPlaces);
  const played = new Tape(tape, more);
  const world = new World(played, plan, tells);
  const simulation = new Simulation(world, await preparedDisk());
  const rejected = (reason: unknown): void => world.violate(`a promise was left to fail: ${String(reason)}`);
  process.on('unhandledRejection', rejected);
  try {
    await examine(simulation, scenario);
  } finally {
    simulation.close();
    await new Promise(setImmediate);
    process.off('unhandledRejection', rejected);
  }
  return {
    violations: world.violations,
    hits: plan.hits,
    plan,
    traceHash: world.traceHash >>> 0,
    choices: played.played,
    simulatedMs: world.time.monotonicMs,
    story: world.story,
    frames: world.frames,
  };
}

async function examine(simulation: Simulation, scenario: Scenario): Promise<void> {
  const { world } = simulation;
  if (!(await world.run(() => simulation.agent !== undefined, START_LIMIT_MS)))
    return world.violate('the first agent did not come up');
  // Safety: whatever happens.
  world.faults.arm();
  const clients = simulation.startClients(scenario);
  if (!(await world.run(() => clients.left() === 0, CLIENTS_LIMIT_MS)))
    return world.violate(`${clients.left()} clients never got an answer`);
  // Liveness: nothing fails any more, so everything comes to rest.
  world.faults.disarm();
  // What was on its way when its client left is there by now, or never begins.
  const isLate = world.faults.hits.some(({ kind }) => kind === 'late' || kind === 'again later');
  if (isLate || !scenario.isOrderly) await world.run(() => false, LATE_LIMIT_MS);
  if (!(await comesToRest(simulation))) return;
  if (world.faults.hits.some(({ kind }) => kind === 'again later')) simulation.history.openRefusals();
  checkReads(simulation);
  checkLastCommand(simulation);
  checkRefused(simulation);
  checkSizes(simulation);
  checkTemplates(simulation);
  checkEvents(simulation);
  checkDelivery(simulation, scenario);
  // What is left can be used, and in the end nothing is left.
  if (!(await simulation.withClient((client) => useAll(simulation, client), EXAMINATION_LIMIT_MS)))
    return world.violate('the examination does not end');
  checkReads(simulation);
  const isEmpty = (): boolean =>
    simulation.agent?.host.sandboxes().length === 0 && recordsLeft(simulation) === 0;
  // Records of before a clock was set back are of the future for an hour.
  const isBack = world.faults.hits.some(({ kind }) => kind === 'clock back');
  if (!(await world.run(isEmpty, isBack ? BACK_LIMIT_MS : REST_LIMIT_MS)))
    return world.violate(
      `not all is destroyed: ${describe(simulation)}, ${recordsLeft(simulation)} recorded`,
    );
  if (!(await comesToRest(simulation))) return;
  for (const [what, left] of Object.entries({
    machines: world.machines.all().length,
    slots: world.slots.list().length,
    devices: world.blocks.devices.size,
    loops: world.blocks.loops.size,
    folders: world.files.folder(PATHS.sandboxes).entries.size,
    templates: world.files.folder(PATHS.templates).entries.size - 1,
  }))
    if (left !== 0) world.violate(`in the end ${left} ${what} are left`);
}

/** Waits until everything rests and agrees, and asks the agent whether it sees that as well. */
async function comesToRest(simulation: Simulation): Promise<boolean> {
  const { world } = simulation;
  const isWell = (): boolean => isAtRest(simulation) && differences(simulation).length === 0;
  if (!(await world.run(isWell, REST_LIMIT_MS))) {
    world.violate(`not everything comes to rest: ${describe(simulation)}`);
    for (const difference of differences(simulation)) world.violate(difference);
    return false;
  }
  let leaks: string[] | undefined;
  world.keeper.run(
    () =>
      void simulation.agent?.host
        .leaks()
        .then((found) => (leaks = found.map(({ name, detail }) => `${name}: ${detail}`))),
  );
  await world.run(() => leaks !== undefined, START_LIMIT_MS);
  for (const leak of leaks ?? ['it does not answer']) world.violate(`the agent reports a leak: ${leak}`);
  return world.violations.length === 0;
}

/** How many sandboxes the records say there are. */
function recordsLeft({ services }: Simulation): number {
  return [...services.records.sandboxes.values()].filter(
    ({ view }) => !/^(destroyed|failed)$/.test(view.state),
  ).length;
}

function describe({ agent, services }: Simulation): string {
  return agent
    ? agent.host
        .sandboxes()
        .map(
          ({ id, actor }) =>
            `${id} ${actor.state} ${actor.record.seq}, ${actor.record.outbox.length} events wait, records ${services.records.sandboxes.get(id)?.view.seq}`,
        )
        .join('; ')
    : 'no agent';
}

/** Brings every sandbox that is left once around, without faults, and destroys it. The same with a sandbox of each template. */
async function useAll(simulation: Simulation, client: Client): Promise<void> {
  const { world } = simulation;
  await useSandboxes(simulation, client);
  for (const { name: template, diskSizeMb } of teamTemplates(world)) {
    const id = await client.create({ template, disk_size_mb: diskSizeMb });
    if (!(await client.read(id)).succeeded)
      return world.violate(`no sandbox can be made from the snapshot ${template}`);
    const { succeeded } = await client.command('destroy', id);
    if (!succeeded) return world.violate(`${id}, made from the snapshot ${template}, cannot be destroyed`);
    const removed = await client.removeSnapshot(template);
    if (!removed.succeeded)
      return world.violate(`the snapshot ${template} cannot be removed: ${removed.error}`);
  }
}

async function useSandboxes({ world, agent, history }: Simulation, client: Client): Promise<void> {
  for (const sandbox of agent?.host.sandboxes() ?? []) {
    const { id } = sandbox;
    const must = async (verb: 'pause' | 'resume' | 'restart' | 'destroy'): Promise<boolean> => {
      const { succeeded, error } = await client.command(verb, id);
      if (!succeeded) world.violate(`${id} is ${sandbox.actor.state}, and cannot ${verb}: ${error}`);
      return succeeded;
    };
    if (sandbox.actor.state.startsWith('crashed')) {
      // Who asked for a restart has given the memory up; a second fault can befall the way back from the first.
      const isGivenUp = history.of(id).some(({ verb }) => verb === 'restart');
      if (world.machines.lostAt(id) === undefined && !isGivenUp && world.faults.hits.length < 2)
        world.violate(`${id} crashed, and its machine was not lost`);
      world.machines.forgive(id);
      if (!(await must('restart'))) return;
    }
    if (sandbox.actor.state === 'paused') {
      // A memory that the power took before it was on the disk is refused, and the disk is what is left.
      const mayRefuse = world.machines.mayRefuse(id);
      const { succeeded, error } = await client.command('resume', id);
      if (!succeeded && !(mayRefuse && error === 'SNAPSHOT_INVALID'))
        return world.violate(`${id} is ${sandbox.actor.state}, and cannot resume: ${error}`);
      if (!succeeded && !(await must('restart'))) return;
    }
    if (sandbox.actor.state === 'running') {
      await client.read(id);
      if (!(await must('pause')) || !(await must('resume'))) return;
      await client.read(id);
    }
    if (!(await must('destroy'))) return;
  }
}

let prepared: Promise<FileSystem> | undefined;

/** The disk of a host whose template has a saved machine. Made once, by a run without clients. */
export function preparedDisk(): Promise<FileSystem> {
  prepared ??= prepare();
  return prepared;
}

async function prepare(): Promise<FileSystem> {
  const empty = new FileSystem(() => 0);
  empty.makeFolders(PATHS.sandboxes);
  empty.makeFolders(`${PATHS.templates}/${TEMPLATE}`);
  empty.write(empty.create(`${PATHS.templates}/${TEMPLATE}/rootfs.ext4`), { bytes: IMAGE_MB * 2 ** 20 });
  empty.write(empty.create(`${PATHS.templates}/${TEMPLATE}/template.json`), {
    text: JSON.stringify({ v: 1, name: TEMPLATE, size_mb: IMAGE_MB }),
  });
  for (const name of ['rootfs.ext4', 'template.json'])
    empty.sync(empty.file(`${PATHS.templates}/${TEMPLATE}/${name}`));
  const world = new World(new Tape(), new FaultPlan([]));
  const simulation = new Simulation(world, empty);
  await world.run(() => simulation.agent !== undefined, START_LIMIT_MS);
  let isWarm = false;
  world.keeper.run(() => void simulation.warm(SHAPE).then(() => (isWarm = true)));
  await world.run(() => isWarm, START_LIMIT_MS);
  await world.run(() => simulation.agent?.host.sandboxes().length === 0, START_LIMIT_MS);
  if (!isWarm || world.violations.length > 0)
    throw new Error(`the host could not be prepared: ${world.violations.join('; ')}`);
  simulation.close();
  const disk = new FileSystem(() => 0);
  disk.copyFrom(world.files);
  return disk;
}

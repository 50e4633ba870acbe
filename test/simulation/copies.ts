import { DormouseError } from '../../src/errors/index.ts';
import { newCommandId } from '../../src/ids.ts';
import { MEMORY_FILE, META_FILE } from '../../src/paths.ts';
import { PATHS } from './paths.ts';
import type { Simulation } from './simulation.ts';
import type { CowModel } from './world/block.ts';
import type { FileNode } from './world/file-system.ts';
import { type MemoryModel, STATE_FILE } from './world/machines.ts';
import type { World } from './world/world.ts';

/** Copies of sandboxes, as the host takes them for forks and templates: taken, looked at and thrown away. */

/** Beside the folder of the host's own, which clears that by itself. */
const FOLDER = `${PATHS.store}/copies`;
/** How often it is looked whether a sandbox is done with a copy, and for how long, in milliseconds. */
const LOOK_MS = 1_000;
const LOOKS_MAX = 600;

interface Wish {
  id: string;
  memory: boolean;
  deadlineMs: number;
}

/**
 * Has a sandbox take a copy of itself, and looks whether it is one.
 *
 * @returns what a read of the copy would give: the number in its memory, and the one on its disk
 * @throws what the sandbox answers; `HOST_UNREACHABLE` when its agent dies
 */
export async function takeCopy(simulation: Simulation, wish: Wish): Promise<{ stdout: string }> {
  const { world } = simulation;
  const dir = `${FOLDER}/k-${world.moment()}`;
  try {
    const answer = await simulation.onAgent(async () => await ask(simulation, wish, dir));
    if (!answer) throw new DormouseError('HOST_UNREACHABLE', 'The agent died.');
    if ('error' in answer) throw answer.error;
    return { stdout: look(world, dir, wish.memory) };
  } finally {
    await done(simulation, wish.id, dir);
    world.files.remove(dir);
  }
}

async function ask(
  simulation: Simulation,
  { id, memory, deadlineMs }: Wish,
  dir: string,
): Promise<{ error: unknown } | { done: true }> {
  const sandbox = sandboxOf(simulation, id);
  if (!sandbox) return { error: new DormouseError('HOST_UNREACHABLE', 'The host does not have it.') };
  const { signal } = new AbortController();
  try {
    const { state } = await sandbox.command(
      'capture',
      { dir, memory },
      { commandId: newCommandId(), deadlineMs, signal },
    );
    if (!/^(running|paused)$/.test(state)) simulation.world.violate(`${id} was copied, and is ${state}`);
    return { done: true };
  } catch (error) {
    checkNothingLeft(simulation, id, dir);
    return { error };
  }
}

/** A copy that failed leaves no folder, unless its step cannot say what became of it, or could not remove it. */
function checkNothingLeft(simulation: Simulation, id: string, dir: string): void {
  const { world } = simulation;
  const mayStay = world.faults.hits.some(
    ({ class: of, step, label }) => /^capture/.test(step) && (of === 'step' || label.startsWith('remove')),
  );
  const state = sandboxOf(simulation, id)?.actor.state ?? 'gone';
  if (!mayStay && /^(running|paused)$/.test(state) && world.files.find(dir))
    world.violate(`the copy of ${id} failed, and left its folder`);
}

/** What is in the folder; says what is wrong with it. */
function look(world: World, dir: string, memory: boolean): string {
  const file = (name: string): FileNode | undefined => {
    const node = world.files.find(`${dir}/${name}`);
    return node?.kind === 'file' ? node : undefined;
  };
  const [cow, record, ...loadable] = ['cow', 'disk.json', MEMORY_FILE, STATE_FILE, META_FILE].map(file);
  if (!cow || !record) world.violate(`${dir} has no disk`);
  const disk = (cow?.model as CowModel | undefined)?.written.value ?? 0;
  if (!memory) {
    if (loadable.some(Boolean)) world.violate(`${dir} has more than a disk`);
    return `${disk} ${disk}`;
  }
  const [saved, state, meta] = loadable;
  if (!saved || !state || !meta) world.violate(`${dir} cannot be loaded`);
  const model = saved?.model as MemoryModel | undefined;
  if (model?.version !== state?.model?.version)
    world.violate(`${dir} has a state of the devices that does not belong to its memory`);
  return `${model?.written ?? 0} ${disk}`;
}

/** Waits until the sandbox writes to the folder no more. One whose agent died goes on with the next. */
async function done(simulation: Simulation, id: string, dir: string): Promise<void> {
  const { clock } = simulation.world;
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    // An agent that is ready knows every sandbox that there is.
    if (simulation.agent && sandboxOf(simulation, id)?.context.capture?.dir !== dir) return;
    await clock.sleep(LOOK_MS);
  }
  simulation.world.violate(`${id} does not come to an end with its copy`);
}

function sandboxOf({ agent }: Simulation, id: string) {
  return agent?.host.sandboxes().find((sandbox) => sandbox.id === id);
}

import { DormouseError } from '../../src/errors/index.ts';
import { IMPOSSIBLE } from './faults.ts';
import type { Simulation } from './simulation.ts';
import { here, inStep, never } from './world/process.ts';

/** How long a slow step is late, in milliseconds: less than most time limits, more than some. */
const SLOW_MS = 8_000;
/** How far the clock jumps, in milliseconds. */
const JUMP_MS = 3_600_000;

/** Carries out the steps of all actors of the agents, each with the fault that is planned for it. */
export function stepFaults(simulation: Simulation) {
  const { world } = simulation;
  const killMonitor = (): boolean => {
    const machine = world.machines.all()[0];
    if (machine) world.machines.end(machine, { reason: 'killed', detail: 'SIGKILL' });
    return machine !== undefined;
  };
  return async <T>(step: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> => {
    const { process } = here();
    if (process.isDead) return never();
    const planned = world.faults.next('step', step, step);
    const isPossible = planned === undefined || !IMPOSSIBLE[step]?.includes(planned);
    if (!isPossible) world.faults.missed();
    const fault = isPossible ? planned : undefined;
    world.note(`${process.name} ${step}${fault ? `: ${fault}` : ''}`);
    return await inStep(step, async () => {
      let isKilled = false;
      switch (fault) {
        case 'fails':
          throw new DormouseError('STEP_FAILED', 'The simulation made the step fail.');
        case 'hangs':
          return await new Promise<T>((_, reject) => {
            if (signal.aborted) reject(signal.reason);
            signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          });
        case 'slow':
          await world.clock.sleep(SLOW_MS, signal);
          break;
        case 'agent killed before':
          process.die();
          return never<T>();
        case 'power cut before':
          world.cutPower();
          return never<T>();
        case 'agent restarted':
          void simulation.upgrade();
          break;
        case 'monitor killed':
          isKilled = killMonitor();
          break;
        case 'clock forward':
          world.time.jump(JUMP_MS);
          break;
        case 'clock back':
          world.time.jump(-JUMP_MS);
      }
      const output = await run();
      switch (fault) {
        case 'monitor killed':
          // One that the step has just started.
          if (!isKilled && !killMonitor()) world.faults.missed();
          return output;
        case 'reply lost':
          throw new DormouseError('STEP_FAILED', 'The simulation lost the reply of the step.');
        case 'hangs after':
          return never<T>();
        case 'agent killed after':
          process.die();
          return never<T>();
        case 'power cut after':
          world.cutPower();
          return never<T>();
        default:
          return output;
      }
    });
  };
}

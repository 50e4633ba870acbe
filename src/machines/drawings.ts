import { Worker } from 'node:worker_threads';
import type { ActorKind } from '../actors/system/inspection.ts';
import type { MachineDrawing } from './drawing.ts';
import { graphOf, type MachineGraph } from './graph.ts';
import { kindOf, kinds } from './kinds.ts';

/**
 * The drawings of the machines that this program runs. They do not change while it runs, so each is made once, when it is
 * first asked for; in a thread of its own, because it takes a second during which nothing else would be answered.
 */

const WORKER = new URL('./layout-worker.ts', import.meta.url);

const graphs = new Map<ActorKind, MachineGraph>(kinds.map((kind) => [kind.kind, graphOf(kind)]));
const drawings = new Map<ActorKind, Promise<MachineDrawing>>();

/**
 * The graph of a machine, which has its version.
 *
 * @throws `MACHINE_NOT_FOUND`
 */
export function machineGraph(name: string): MachineGraph {
  const { kind } = kindOf(name);
  return graphs.get(kind) ?? graphOf(kindOf(kind));
}

/**
 * The drawing of a machine.
 *
 * @throws `MACHINE_NOT_FOUND`
 */
export async function machineDrawing(name: string): Promise<MachineDrawing> {
  const graph = machineGraph(name);
  const drawing = drawings.get(graph.kind) ?? layOutInThread(graph);
  drawings.set(graph.kind, drawing);
  try {
    return await drawing;
  } catch (error) {
    // Such as for want of memory: the next one who asks has it tried again.
    drawings.delete(graph.kind);
    throw error;
  }
}

function layOutInThread(graph: MachineGraph): Promise<MachineDrawing> {
  return new Promise((resolve, reject) => {
    new Worker(WORKER, { workerData: graph })
      .once('message', resolve)
      .once('error', reject)
      // After the drawing; before it, nobody else would say that none comes.
      .once('exit', (status) => reject(new Error(`The thread that draws ended with status ${status}`)));
  });
}

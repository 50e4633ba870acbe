import { parentPort, workerData } from 'node:worker_threads';
import type { MachineGraph } from './graph.ts';
import { layOut } from './layout.ts';
import { sheets } from './sheets.ts';

/** A thread that lays out the graph that it is given, tells the drawing, and ends. */
const graph = workerData as MachineGraph;
parentPort?.postMessage(await layOut(graph, sheets[graph.kind]));

import type { GraphEdge } from './edges.ts';
import type { GraphState, MachineGraph } from './graph.ts';
import { LABEL_GAP, labelSize, type Size, stateSize } from './measure.ts';
import type { Sheet } from './sheets.ts';

/**
 * What is decided of a drawing before places are looked for:
 *
 * - Edges that lead up are turned round. Then all lead down, and none has to be bent back.
 * - A state that many edges leave is a *rail*: so wide that each of them has a place of its own, with its label beside it.
 * - Inside other states, failures leave to the right, so that what works goes straight on.
 */
export interface Arrangement {
  /** Of each state that contains no others. */
  plates: ReadonlyMap<string, Plate>;
  /** Of each edge, in their order. */
  ways: readonly Way[];
}

/** A state that contains no others, with the room for labels above and below it. */
export interface Plate extends Size {
  above: number;
  below: number;
  isRail: boolean;
  /** Where edges touch it; edges without a port touch it anywhere. */
  ports: readonly Port[];
}

export type Side = 'NORTH' | 'SOUTH' | 'EAST';

export interface Port {
  id: string;
  side: Side;
  /** Room along the side, and away from it: that of the label, if there is one. */
  length: number;
  depth: number;
}

export interface Way {
  edge: GraphEdge;
  isTurned: boolean;
  /** What it begins and ends at before it is turned: a port, or a state. */
  source: string;
  target: string;
  /** The side of the plate that its label stands at; null for one that stands somewhere on its way, or is not there. */
  labelSide: Side | null;
}

/** Between two ports, and at the ends of a side. */
export const PORT_GAP = 12;
/** Room that a port without a label takes above or below. */
const PORT_LENGTH = 8;
/** As many edges have room at a state that is no rail. */
const EDGES_MAX = 8;

/** Decides. */
export function arrange({ states, edges }: MachineGraph, sheet: Sheet): Arrangement {
  const atoms = states.filter(({ kind }) => kind !== 'compound');
  const rails = new Set(atoms.filter((state) => isRail(state, edges)).map(({ id }) => id));
  const ports = new Map<string, Port[]>(atoms.map(({ id }) => [id, []]));
  const ways = edges.map((edge): Way => {
    const isTurned = leadsUp(edge, sheet);
    const sideAt = (end: 'source' | 'target'): Side | null => {
      const state = edge[end];
      if (rails.has(state)) return isTurned === (end === 'source') ? 'NORTH' : 'SOUTH';
      const leavesAside = end === 'source' && edge.kind === 'failure' && ports.has(state);
      return leavesAside && state.includes('.') ? 'EAST' : null;
    };
    /** What the edge touches at one of its ends. */
    const touched = (end: 'source' | 'target'): string => {
      const side = sideAt(end);
      if (!side) return edge[end];
      const id = `${edge.id}#${end}`;
      ports.get(edge[end])?.push({ id, side, ...portSize(side, end === 'source' ? edge : null) });
      return id;
    };
    const labelSide = edge.isLabelled ? sideAt('source') : null;
    return { edge, isTurned, labelSide, source: touched('source'), target: touched('target') };
  });
  const plates = new Map(
    atoms.map((state) => [state.id, plateOf(state, rails.has(state.id), ports.get(state.id) ?? [])]),
  );
  return { plates, ways };
}

/** Room that a port takes: that of the label of the edge which leaves there, if it has one. */
function portSize(side: Side, leaving: GraphEdge | null): Pick<Port, 'length' | 'depth'> {
  const aside = side === 'EAST';
  if (!leaving?.isLabelled) return { length: aside ? 0 : PORT_LENGTH, depth: 0 };
  const { width, height } = labelSize(leaving.label);
  return aside
    ? { length: height, depth: width + 2 * LABEL_GAP }
    : { length: width, depth: height + LABEL_GAP };
}

/** Whether an edge leads to a row above, or up within a state whose steps do. */
function leadsUp({ source, target, kind }: GraphEdge, { rows, upward }: Sheet): boolean {
  const [from, to] = [outermost(source), outermost(target)];
  if (from === to) return kind !== 'failure' && upward.includes(from);
  const rowOf = (state: string): number => rows.findIndex((row) => row.includes(state));
  return rowOf(from) > rowOf(to);
}

const outermost = (state: string): string => state.split('.')[0] ?? state;

function isRail({ id }: GraphState, edges: readonly GraphEdge[]): boolean {
  const leaving = edges.filter(({ source }) => source === id);
  const arriving = edges.filter(({ target }) => target === id);
  const labelled = leaving.filter(
    ({ isLabelled, kind }) => isLabelled && kind !== 'failure' && kind !== 'step',
  );
  return labelled.length > 1 || leaving.length + arriving.length > EDGES_MAX;
}

function plateOf(state: GraphState, isRail: boolean, ports: readonly Port[]): Plate {
  const along = (side: Side): readonly Port[] => ports.filter((port) => port.side === side);
  const length = (side: Side): number =>
    along(side).reduce((sum, port) => sum + port.length + PORT_GAP, PORT_GAP);
  const { width, height } = stateSize(state);
  return {
    width: Math.max(width, length('NORTH'), length('SOUTH')),
    height,
    above: Math.max(0, ...along('NORTH').map(({ depth }) => depth)),
    below: Math.max(0, ...along('SOUTH').map(({ depth }) => depth)),
    isRail,
    ports,
  };
}

import Elk from 'elkjs/lib/elk.bundled.js';
import type { ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js';
import { type Arrangement, arrange, type Side, type Way } from './arrangement.ts';
import type { DrawnEdge, DrawnState, MachineDrawing } from './drawing.ts';
import { elkGraphOf } from './elk-graph.ts';
import type { MachineGraph } from './graph.ts';
import { LABEL_GAP, labelSize, type Size } from './measure.ts';
import type { Sheet } from './sheets.ts';

/** A place for everything in a graph. It takes about a second of processor time for the largest: see `drawings.ts`. */

interface Point {
  x: number;
  y: number;
}
type Box = Point & Size;

/** What ELK found, with absolute positions. */
interface Found {
  boxes: Map<string, Box>;
  /** From ELK's source to its target, which are exchanged when the edge was turned round. */
  edges: Map<string, { points: Point[]; label: Box | null }>;
}

/** Draws a graph. The same graph on the same sheet always has the same drawing. */
export async function layOut(graph: MachineGraph, sheet: Sheet): Promise<MachineDrawing> {
  const arrangement = arrange(graph, sheet);
  const root = await new Elk.default().layout(elkGraphOf(graph, arrangement, sheet));
  const found: Found = { boxes: new Map(), edges: new Map() };
  readBoxes(root, { x: 0, y: 0 }, found);
  readEdges(root, found);
  const { kind, title, version, states } = graph;
  return {
    v: 1,
    kind,
    title,
    version,
    width: Math.ceil(root.width ?? 0),
    height: Math.ceil(root.height ?? 0),
    states: states.map(
      (state): DrawnState => ({ ...state, ...rounded(boxOf(state.id, arrangement, found)) }),
    ),
    edges: arrangement.ways.map((way) => drawnEdge(way, arrangement, found)),
  };
}

/** ELK gives the position of a node within the one around it. */
function readBoxes(node: ElkNode, origin: Point, found: Found): void {
  const box = { ...moved(node, origin), ...sizeOf(node) };
  found.boxes.set(node.id, box);
  for (const child of node.children ?? []) readBoxes(child, box, found);
}

/** And that of an edge within the node that it names as its container. */
function readEdges(root: ElkNode, found: Found): void {
  for (const edge of root.edges ?? []) {
    const origin = nodeBox(edge.container ?? root.id, found);
    const [label] = edge.labels ?? [];
    found.edges.set(edge.id, {
      points: pointsOf(edge).map((point) => moved(point, origin)),
      label: label ? { ...moved(label, origin), ...sizeOf(label) } : null,
    });
  }
}

function pointsOf({ id, sections }: ElkExtendedEdge): Point[] {
  const [section] = sections ?? [];
  if (!section) throw new Error(`ELK found no way for ${id}`);
  return [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
}

function nodeBox(id: string, { boxes }: Found): Box {
  const box = boxes.get(id);
  if (!box) throw new Error(`ELK found no place for ${id}`);
  return box;
}

/** The box of a state: of a plate, without the room for labels. */
function boxOf(id: string, { plates }: Arrangement, found: Found): Box {
  const box = nodeBox(id, found);
  const plate = plates.get(id);
  return plate ? { ...box, y: box.y + plate.above, height: plate.height } : box;
}

function drawnEdge({ edge, isTurned, labelSide }: Way, arrangement: Arrangement, found: Found): DrawnEdge {
  const { isLabelled: _, ...rest } = edge;
  const way = found.edges.get(edge.id);
  if (!way) throw new Error(`ELK found no way for ${edge.id}`);
  const points = isTurned ? way.points.toReversed() : way.points;
  /** An end at the border of a plate: ELK's is where the room for labels ends. */
  const endAt = (index: 0 | -1, state: string): Point => {
    const point = points.at(index) ?? { x: 0, y: 0 };
    return arrangement.plates.has(state) ? within(point, boxOf(state, arrangement, found)) : point;
  };
  const begin = endAt(0, edge.source);
  const label = labelSide ? labelAt(begin, labelSide, edge.label) : way.label;
  return {
    ...rest,
    label_box: label && rounded(label),
    points: [begin, ...points.slice(1, -1), endAt(-1, edge.target)].map(({ x, y }) => [round(x), round(y)]),
  };
}

/** The point of a box that is nearest. */
function within({ x, y }: Point, box: Box): Point {
  const clamp = (value: number, from: number, length: number): number =>
    Math.min(Math.max(value, from), from + length);
  return { x: clamp(x, box.x, box.width), y: clamp(y, box.y, box.height) };
}

/** The label of an edge where it leaves a plate: on its line, beside the plate. */
function labelAt({ x, y }: Point, side: Side, text: string): Box {
  const { width, height } = labelSize(text);
  const size = { width, height };
  if (side === 'EAST') return { x: x + LABEL_GAP, y: y - height / 2, ...size };
  return { x: x - width / 2, y: side === 'NORTH' ? y - LABEL_GAP - height : y + LABEL_GAP, ...size };
}

const moved = ({ x = 0, y = 0 }: { x?: number; y?: number }, by: Point): Point => ({
  x: x + by.x,
  y: y + by.y,
});
const sizeOf = ({ width = 0, height = 0 }: { width?: number; height?: number }): Size => ({ width, height });
/** Tenths of a pixel: what is finer than that nobody sees. */
const round = (value: number): number => Math.round(value * 10) / 10;
const rounded = ({ x, y, width, height }: Box): Box => ({
  x: round(x),
  y: round(y),
  width: round(width),
  height: round(height),
});

import type { ElkExtendedEdge, ElkNode, ElkPort, LayoutOptions } from 'elkjs/lib/elk-api.js';
import { type Arrangement, type Plate, PORT_GAP, type Port, type Way } from './arrangement.ts';
import type { MachineGraph } from './graph.ts';
import { labelSize } from './measure.ts';
import type { Sheet } from './sheets.ts';
import { titleWidth } from './title.ts';

/** An arrangement in the terms of ELK, the library that finds places for states and ways for edges. */

const LAYOUT: LayoutOptions = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.edgeRouting': 'ORTHOGONAL',
  // States inside others are placed together with those outside, so that an edge can lead from any to any.
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.partitioning.activate': 'true',
  'elk.layered.considerModelOrder.strategy': 'PREFER_EDGES',
  'elk.layered.thoroughness': '30',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.layered.compaction.postCompaction.strategy': 'EDGE_LENGTH',
  'elk.layered.spacing.nodeNodeBetweenLayers': '18',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '8',
  'elk.layered.spacing.edgeNodeBetweenLayers': '8',
  'elk.spacing.edgeEdge': '8',
  'elk.spacing.edgeNode': '8',
  'elk.spacing.nodeNode': '12',
};

/** Around what a state contains: a title stands above. */
const FRAME = { top: 36, side: 16 } as const;

const RAIL: LayoutOptions = {
  'elk.portConstraints': 'FIXED_SIDE',
  'elk.portAlignment.default': 'JUSTIFIED',
  'elk.spacing.portPort': String(PORT_GAP),
};

const PLATE: LayoutOptions = {
  'elk.portConstraints': 'FIXED_SIDE',
  'elk.portAlignment.default': 'CENTER',
  'elk.spacing.portPort': '6',
};

/** The graph as ELK takes it. Edges that are turned have their ends exchanged. */
export function elkGraphOf(
  { states }: MachineGraph,
  { plates, ways }: Arrangement,
  { rows, seed }: Sheet,
): ElkNode {
  const nodesIn = (parent: string | null): ElkNode[] =>
    states
      .filter((state) => state.parent === parent)
      .map(({ id, label }) => {
        const plate = plates.get(id);
        return { id, ...(plate ? plateNode(plate) : frameNode(label, nodesIn(id), plates)) };
      });
  const inRow = (row: readonly string[], index: number): ElkNode[] =>
    nodesIn(null)
      .filter(({ id }) => row.includes(id))
      .map((node) => ({
        ...node,
        layoutOptions: { ...node.layoutOptions, 'elk.partitioning.partition': String(index) },
      }));
  return {
    id: 'machine',
    layoutOptions: { ...LAYOUT, 'elk.randomSeed': String(seed) },
    children: rows.flatMap(inRow),
    edges: ways.map(elkEdgeOf),
  };
}

/** Lines come in from above to the middle of a plate, or all along a rail. The title has its place at their left. */
function frameNode(title: string, children: ElkNode[], plates: Arrangement['plates']): Omit<ElkNode, 'id'> {
  const insides = children.map(({ id }) => plates.get(id)).filter((plate) => plate !== undefined);
  const widest = Math.max(0, ...insides.map(({ width }) => width));
  const firstLine = insides.some(({ isRail }) => isRail) ? 0 : widest / 2;
  const left = Math.max(FRAME.side, Math.ceil(titleWidth(title) - firstLine));
  const padding = `[top=${FRAME.top},left=${left},bottom=${FRAME.side},right=${FRAME.side}]`;
  return { children, layoutOptions: { 'elk.padding': padding } };
}

function plateNode({ width, height, above, below, isRail, ports }: Plate): Omit<ElkNode, 'id'> {
  const size = { width, height: above + height + below };
  if (ports.length === 0) return size;
  return { ...size, ports: ports.map(elkPortOf), layoutOptions: isRail ? RAIL : PLATE };
}

/** The room for labels above and below is within the node already; that at the side is the port's own. */
function elkPortOf({ id, side, length, depth }: Port): ElkPort {
  const size = side === 'EAST' ? { width: depth, height: length } : { width: length, height: 0 };
  return { id, ...size, layoutOptions: { 'elk.port.side': side } };
}

function elkEdgeOf({ edge, source, target, isTurned, labelSide }: Way): ElkExtendedEdge {
  const { id, kind, label, isLabelled } = edge;
  const weight = kind === 'step' ? '10' : '1';
  return {
    id,
    sources: [isTurned ? target : source],
    targets: [isTurned ? source : target],
    labels: isLabelled && !labelSide ? [{ text: label, ...labelSize(label) }] : [],
    layoutOptions: {
      'elk.layered.priority.direction': weight,
      'elk.layered.priority.shortness': weight,
      'elk.layered.priority.straightness': weight,
    },
  };
}

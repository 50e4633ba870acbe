import type { DrawnEdge, DrawnState, MachineDrawing } from './drawing.ts';
import { TYPE, textWidth } from './measure.ts';
import { SVG_STYLE } from './svg-style.ts';
import { titlePlace } from './title.ts';

/** A drawing as a picture that needs nothing else. It is light or dark as its reader has it, and can be read without colour. */

const ARROW_LENGTH = 7;
const LEGEND_HEIGHT = 34;
/** What each kind of edge means, in the order of the legend. */
const LEGEND: ReadonlyArray<readonly [kind: DrawnEdge['kind'], meaning: string]> = [
  ['step', 'step done'],
  ['failure', 'failure'],
  ['command', 'command'],
  ['timeout', 'time is over'],
  ['event', "event of the actor's own"],
];

const LEGEND_LEFT = 12;
const legendEntryWidth = (meaning: string): number => 60 + textWidth(meaning, TYPE.label);
const LEGEND_WIDTH = Math.ceil(
  LEGEND.reduce((sum, [, meaning]) => sum + legendEntryWidth(meaning), LEGEND_LEFT),
);

/** The picture as the text of a file. */
export function svgOf({ title, version, width: drawn, height, states, edges }: MachineDrawing): string {
  const width = Math.max(drawn, LEGEND_WIDTH);
  const total = height + LEGEND_HEIGHT;
  // Frames lie below the lines that enter them, plates above.
  const [frames, plates] = [
    states.filter(({ kind }) => kind === 'compound'),
    states.filter(({ kind }) => kind !== 'compound'),
  ];
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" role="img">`,
    `<title>State machine: ${escaped(title)}</title>`,
    `<desc>Version ${escaped(version)}: ${plates.length} states, ${edges.length} transitions.</desc>`,
    `<style>${SVG_STYLE}</style>`,
    `<rect class="paper" width="${width}" height="${total}"/>`,
    ...frames.map((frame) => boxOf(frame, 'frame')),
    ...edges.map(edgeOf),
    ...frames.map((frame) => titleOf(frame, edges)),
    ...plates.map(plateOf),
    ...edges.map(labelOf),
    ...legend(height + LEGEND_HEIGHT / 2),
    '</svg>',
  ];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

function boxOf({ x, y, width, height, failure }: DrawnState, kind: string): string {
  const classes = failure ? `${kind} way-back` : kind;
  return `<rect class="${classes}" x="${x}" y="${y}" width="${width}" height="${height}" rx="3"/>`;
}

function titleOf(frame: DrawnState, edges: readonly DrawnEdge[]): string {
  const { x, y } = titlePlace(frame, edges);
  return `<text class="title" x="${x}" y="${y}">${escaped(frame.label)}</text>`;
}

function plateOf(state: DrawnState): string {
  const { id, label, step, kind, initial, tags, x, y, width, height } = state;
  const middle = x + width / 2;
  const name = step === null ? y + height / 2 : y + height / 2 - 7;
  return [
    `<g data-state="${escaped(id)}"><title>${escaped(id)}</title>`,
    boxOf(state, tags.includes('rest') ? 'plate rest' : 'plate'),
    kind === 'final'
      ? `<rect class="inner" x="${x + 3}" y="${y + 3}" width="${width - 6}" height="${height - 6}" rx="1"/>`
      : '',
    initial ? `<circle class="initial" cx="${x + 6}" cy="${y + 6}" r="2.5"/>` : '',
    `<text class="name" x="${middle}" y="${name}">${escaped(label)}</text>`,
    step === null
      ? ''
      : `<text class="step-name" x="${middle}" y="${y + height / 2 + 8}">${escaped(step)}</text>`,
    '</g>',
  ].join('');
}

function edgeOf({ id, kind, label, points }: DrawnEdge): string {
  const last = points.at(-1);
  const before = points.at(-2);
  if (!last || !before) return '';
  const way = points.map(([x, y]) => `${x},${y}`).join(' ');
  return [
    `<g class="${kind}" data-edge="${escaped(id)}"><title>${escaped(`${id.replace(/:.*$/, '')}: ${label}`)}</title>`,
    `<polyline class="line" points="${way}"/>`,
    arrow(before, last),
    '</g>',
  ].join('');
}

/** The head of an arrow that ends at a point, as a path of its own: so that the line's dashes are not its. */
function arrow([fromX, fromY]: readonly [number, number], [x, y]: readonly [number, number]): string {
  const length = Math.hypot(x - fromX, y - fromY) || 1;
  const [alongX, alongY] = [((x - fromX) / length) * ARROW_LENGTH, ((y - fromY) / length) * ARROW_LENGTH];
  const corner = (side: number): string =>
    `${rounded(x - alongX - (alongY * side) / 2)} ${rounded(y - alongY + (alongX * side) / 2)}`;
  return `<path class="head" d="M${x} ${y}L${corner(1)}L${corner(-1)}z"/>`;
}

function labelOf({ kind, label, label_box: box }: DrawnEdge): string {
  if (!box) return '';
  return `<text class="label ${kind}" x="${rounded(box.x + box.width / 2)}" y="${rounded(box.y + box.height / 2)}">${escaped(label)}</text>`;
}

function legend(y: number): string[] {
  let x = LEGEND_LEFT;
  return LEGEND.map(([kind, meaning]) => {
    const begin = x;
    x += legendEntryWidth(meaning);
    return (
      `<g class="${kind}"><path class="line" d="M${begin} ${y}h28"/>${arrow([begin, y], [begin + 28, y])}` +
      `<text class="legend" x="${begin + 36}" y="${y}">${escaped(meaning)}</text></g>`
    );
  });
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? '');

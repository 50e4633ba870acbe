/** From the places of a drawing to what SVG wants. */

type Point = readonly [number, number];

const CORNER = 6;
const HEAD_LENGTH = 9;
const HEAD_HALF = 3.8;
const MARK_DISTANCE = 9;

/** A line through the points with its corners rounded, as the `d` of a path. It ends where the arrow's head begins. */
export function lineOf(points: readonly Point[]): string {
  const shortened = withoutHead(points);
  const [first] = shortened;
  if (!first) return '';
  const parts = [`M${at(first)}`];
  for (let index = 1; index < shortened.length; index += 1) {
    const [before, corner, after] = [shortened[index - 1], shortened[index], shortened[index + 1]];
    if (!before || !corner) break;
    if (!after) {
      parts.push(`L${at(corner)}`);
      break;
    }
    const radius = Math.min(CORNER, distance(before, corner) / 2, distance(corner, after) / 2);
    parts.push(`L${at(towards(corner, before, radius))}Q${at(corner)} ${at(towards(corner, after, radius))}`);
  }
  return parts.join('');
}

/** The head of the arrow at the end of the points, as the `d` of a path. */
export function headOf(points: readonly Point[]): string {
  const [tip, before] = [points.at(-1), points.at(-2)];
  if (!tip || !before) return '';
  const [x, y] = towards(tip, before, HEAD_LENGTH);
  const length = distance(before, tip) || 1;
  const across: Point = [
    (-(tip[1] - before[1]) / length) * HEAD_HALF,
    ((tip[0] - before[0]) / length) * HEAD_HALF,
  ];
  return `M${at(tip)}L${at([x + across[0], y + across[1]])}L${at([x - across[0], y - across[1]])}Z`;
}

/** Where the mark of an edge's kind stands: close behind the border that it leaves. */
export function markOf(points: readonly Point[]): Point {
  const [start, next] = points;
  if (!start || !next) return [0, 0];
  return towards(start, next, Math.min(MARK_DISTANCE, distance(start, next) / 2));
}

function withoutHead(points: readonly Point[]): Point[] {
  const [tip, before] = [points.at(-1), points.at(-2)];
  if (!tip || !before) return [...points];
  return [...points.slice(0, -1), towards(tip, before, Math.min(HEAD_LENGTH - 1, distance(tip, before)))];
}

function towards(from: Point, to: Point, length: number): Point {
  const all = distance(from, to) || 1;
  return [from[0] + ((to[0] - from[0]) / all) * length, from[1] + ((to[1] - from[1]) / all) * length];
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function at([x, y]: Point): string {
  return `${Math.round(x * 100) / 100} ${Math.round(y * 100) / 100}`;
}

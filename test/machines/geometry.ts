export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}
type Point = readonly [x: number, y: number];

/** Positions are rounded to tenths of a pixel. */
const TOLERANCE = 0.15;

/** Whether two boxes have more than a border in common. */
export function overlaps(a: Box, b: Box): boolean {
  return (
    a.x + a.width > b.x + TOLERANCE &&
    b.x + b.width > a.x + TOLERANCE &&
    a.y + a.height > b.y + TOLERANCE &&
    b.y + b.height > a.y + TOLERANCE
  );
}

/** Whether a box is inside another. */
export function holds(outer: Box, inner: Box): boolean {
  return (
    inner.x >= outer.x - TOLERANCE &&
    inner.y >= outer.y - TOLERANCE &&
    inner.x + inner.width <= outer.x + outer.width + TOLERANCE &&
    inner.y + inner.height <= outer.y + outer.height + TOLERANCE
  );
}

/** Whether a line runs through the inside of a box. */
export function crossesBox(points: readonly Point[], box: Box): boolean {
  return points.slice(1).some((end, index) => {
    const begin = points[index]!;
    const segment = {
      x: Math.min(begin[0], end[0]) - TOLERANCE,
      y: Math.min(begin[1], end[1]) - TOLERANCE,
      width: Math.abs(begin[0] - end[0]) + 2 * TOLERANCE,
      height: Math.abs(begin[1] - end[1]) + 2 * TOLERANCE,
    };
    const inside = { x: box.x + 1, y: box.y + 1, width: box.width - 2, height: box.height - 2 };
    return overlaps(segment, inside);
  });
}

/** Whether a point is on the border of a box. */
export function isOnBorder([x, y]: Point, box: Box): boolean {
  const near = (a: number, b: number): boolean => Math.abs(a - b) <= TOLERANCE;
  const isWithin =
    x >= box.x - TOLERANCE &&
    x <= box.x + box.width + TOLERANCE &&
    y >= box.y - TOLERANCE &&
    y <= box.y + box.height + TOLERANCE;
  const isAtEdge =
    near(x, box.x) || near(x, box.x + box.width) || near(y, box.y) || near(y, box.y + box.height);
  return isWithin && isAtEdge;
}

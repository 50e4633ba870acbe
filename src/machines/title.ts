import type { DrawnEdge, DrawnState } from './drawing.ts';
import { textWidth } from './measure.ts';

/** Room for the title of a state that contains others, in CSS pixels. */
const TITLE = { left: 10, top: 8, height: 18, fontSize: 13 } as const;
const STEP = 2;
/** Between a title and a line beside it. */
const CLEARANCE = 5;

/** Room that a title takes, from the frame's border to a line at its right. */
export function titleWidth(title: string): number {
  return TITLE.left + textWidth(title, TITLE.fontSize) + CLEARANCE + STEP;
}

/**
 * Where the title of a frame begins: in its upper left corner, moved to the right as far as no line runs through it. Lines come
 * in through the border of a frame wherever they must.
 *
 * @returns the left end of the text, and the middle of its height
 */
export function titlePlace(frame: DrawnState, edges: readonly DrawnEdge[]): { x: number; y: number } {
  const top = frame.y + TITLE.top;
  const width = textWidth(frame.label, TITLE.fontSize);
  const crossings = edges.flatMap(({ points }) =>
    points.slice(1).flatMap((end, index): Array<[from: number, to: number]> => {
      const begin = points[index] ?? end;
      const [above, below] = [Math.min(begin[1], end[1]), Math.max(begin[1], end[1])];
      if (below < top || above > top + TITLE.height) return [];
      return [[Math.min(begin[0], end[0]) - CLEARANCE, Math.max(begin[0], end[0]) + CLEARANCE]];
    }),
  );
  const first = frame.x + TITLE.left;
  const last = frame.x + frame.width - TITLE.left - width;
  const y = top + TITLE.height / 2;
  for (let x = first; x <= last; x += STEP)
    if (crossings.every(([from, to]) => x + width < from || x > to)) return { x, y };
  return { x: first, y };
}

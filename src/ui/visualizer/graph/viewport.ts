/** Which part of a drawing is seen, and how large. */
export interface View {
  /** Where the drawing's origin stands in the window, in CSS pixels. */
  x: number;
  y: number;
  /** CSS pixels for a unit of the drawing. */
  scale: number;
}

export interface Size {
  width: number;
  height: number;
}

export type Box = { x: number; y: number } & Size;

export const MIN_SCALE = 0.1;
export const MAX_SCALE = 4;
/** A drawing is not enlarged to fit: text of more than its own size is no easier to read. */
const FIT_MAX = 1.25;
const MARGIN = 16;
/** What stands on the window at its top and bottom, and room beside it. */
const TOP = 40;
const BOTTOM = 52;
const NOWHERE: Box = { x: 0, y: 0, width: 0, height: 0 };
/** Below this, text cannot be read. */
export const READABLE = 0.62;
/** Below this, nor can numbers, which are drawn larger then. */
export const COUNTABLE = 0.4;
/** For one state and what is around it. */
const CLOSE = 0.8;
/** What of the drawing stays in sight, however far it is dragged. */
const IN_SIGHT = 48;

/** All of the drawing, in the middle of the window. */
export function fit(drawing: Size, window: Size): View {
  const scale = bounded(
    Math.min(
      (window.width - 2 * MARGIN) / drawing.width,
      (window.height - 2 * MARGIN) / drawing.height,
      FIT_MAX,
    ),
  );
  return {
    scale,
    x: (window.width - drawing.width * scale) / 2,
    y: (window.height - drawing.height * scale) / 2,
  };
}

/**
 * What is seen at first: all of the drawing where that can be read; or else what matters, as large as it fits; or else the one
 * state that matters most.
 *
 * @param least how small the whole drawing may be
 * @param all the box around what matters; undefined when nothing does
 * @param most the box of the state that matters most; undefined for the drawing's beginning
 */
export function opening(
  drawing: Size,
  window: Size,
  least: number,
  all: Box | undefined,
  most: Box | undefined,
): View {
  const whole = fit(drawing, window);
  if (whole.scale >= least) return whole;
  const room = { width: window.width - 2 * MARGIN, height: window.height - TOP - BOTTOM };
  const largest = all ? Math.min(room.width / all.width, room.height / all.height, 1) : 0;
  const isRoomy = largest >= READABLE;
  const scale = isRoomy ? largest : CLOSE;
  const { x, y, width, height } = (isRoomy ? all : most) ?? NOWHERE;
  const view: View = {
    scale,
    x: window.width / 2 - (x + width / 2) * scale,
    y: TOP + room.height / 2 - (y + height / 2) * scale,
  };
  return inside(view, drawing, window);
}

/** The box around several; undefined without any. */
export function around(boxes: readonly Box[]): Box | undefined {
  if (boxes.length === 0) return undefined;
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  return {
    x,
    y,
    width: Math.max(...boxes.map((box) => box.x + box.width)) - x,
    height: Math.max(...boxes.map((box) => box.y + box.height)) - y,
  };
}

/** Enlarges by a factor; the point of the window that is named stays where it is. */
export function zoomAt(view: View, factor: number, x: number, y: number): View {
  const scale = bounded(view.scale * factor);
  const ratio = scale / view.scale;
  return { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
}

/** Moves the drawing, as far as a part of it stays in sight. */
export function panBy(view: View, dx: number, dy: number, drawing: Size, window: Size): View {
  const along = (position: number, length: number, room: number): number =>
    Math.min(room - IN_SIGHT, Math.max(IN_SIGHT - length, position));
  return {
    scale: view.scale,
    x: along(view.x + dx, drawing.width * view.scale, window.width),
    y: along(view.y + dy, drawing.height * view.scale, window.height),
  };
}

/** Moves a view as little as is needed to show a box of the drawing. The same view when it is seen already. */
export function reveal(view: View, box: Box, window: Size): View {
  const { scale } = view;
  const dx = shift(view.x + box.x * scale, box.width * scale, MARGIN, window.width - MARGIN);
  const dy = shift(view.y + box.y * scale, box.height * scale, TOP, window.height - BOTTOM);
  return dx === 0 && dy === 0 ? view : { scale, x: view.x + dx, y: view.y + dy };
}

/** How far a length must be moved to lie between two places. What is longer shows its beginning. */
function shift(start: number, length: number, from: number, to: number): number {
  if (start < from) return from - start;
  const over = start + length - to;
  return over > 0 ? -Math.min(over, start - from) : 0;
}

/** Without empty room on one side while there is more of the drawing on the other. */
function inside(view: View, drawing: Size, window: Size): View {
  const { scale } = view;
  return {
    scale,
    x: kept(view.x, drawing.width * scale, MARGIN, window.width - MARGIN),
    y: kept(view.y, drawing.height * scale, TOP, window.height - BOTTOM),
  };
}

/** The nearest place for a length that covers what is between two places, or lies in their middle when it is shorter. */
function kept(start: number, length: number, from: number, to: number): number {
  if (length <= to - from) return (from + to - length) / 2;
  return Math.min(from, Math.max(to - length, start));
}

function bounded(scale: number): number {
  return Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));
}

import { type Signal, useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import { around, type Box, fit, opening, panBy, reveal, type Size, type View, zoomAt } from './viewport.ts';

export interface ViewControls {
  view: Signal<View>;
  /** Enlarges around the middle. */
  zoom(factor: number): void;
  /** Shows all of it, and keeps doing so when the window changes. */
  fitAll(): void;
  /** Shows a state that is out of sight, the first of these, with the others where there is room. */
  show(states: readonly string[]): void;
  /** Whether a click was the end of a drag. */
  hasDragged(): boolean;
}

/** A pointer moves so far before it drags: below that it is a click. */
const DRAG_PX = 4;
const WHEEL_STEP = 1.0015;

/**
 * Pan and zoom of a drawing in a window: wheel, drag, pinch.
 *
 * @param focus the states that are shown first when not all can be read at once, the one that matters most first
 * @param least how small the whole drawing may be at first
 */
export function useView(
  window: RefObject<SVGSVGElement | null>,
  drawing: MachineDrawing,
  focus: () => readonly string[],
  least: number,
): ViewControls {
  const view = useSignal<View>({ x: 0, y: 0, scale: 1 });
  const size = useRef<Size>({ width: 1, height: 1 });
  /** Who has chosen what is seen: the page, a person who wants all of it, or a person's hand. */
  const mode = useRef<'page' | 'all' | 'hand'>('page');
  const dragged = useRef(0);
  const boxesOf = (ids: readonly string[]): Box[] =>
    ids.flatMap((id) => drawing.states.filter((state) => state.id === id));
  const open = (ids: readonly string[]): void => {
    const boxes = boxesOf(ids);
    view.value = opening(drawing, size.current, least, around(boxes), boxes[0]);
  };

  useEffect(() => {
    const element = window.current;
    if (!element) return;
    const resized = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = element;
      size.current = { width: clientWidth, height: clientHeight };
      if (clientWidth === 0) return;
      if (mode.current === 'page') open(focus());
      else if (mode.current === 'all') view.value = fit(drawing, size.current);
    });
    resized.observe(element);
    const stop = listen(element, {
      pan(dx, dy) {
        mode.current = 'hand';
        view.value = panBy(view.peek(), dx, dy, drawing, size.current);
      },
      zoom(factor, x, y) {
        mode.current = 'hand';
        view.value = zoomAt(view.peek(), factor, x, y);
      },
      dragged(px) {
        dragged.current = px;
      },
    });
    return () => {
      resized.disconnect();
      stop();
    };
  }, [drawing]);

  return {
    view,
    zoom(factor) {
      mode.current = 'hand';
      view.value = zoomAt(view.peek(), factor, size.current.width / 2, size.current.height / 2);
    },
    fitAll() {
      mode.current = 'all';
      view.value = fit(drawing, size.current);
    },
    show(states) {
      const [most] = boxesOf(states);
      if (!most || mode.current === 'all') return;
      const moved = reveal(view.peek(), most, size.current);
      if (moved === view.peek()) return;
      // Where a person has put it, it is moved no further than it must be.
      if (mode.current === 'hand') view.value = moved;
      else open(states);
    },
    hasDragged: () => dragged.current > DRAG_PX,
  };
}

interface Gestures {
  pan(dx: number, dy: number): void;
  /** `x` and `y` are within the window. */
  zoom(factor: number, x: number, y: number): void;
  /** How far the pointer has come since it was pressed. */
  dragged(px: number): void;
}

/** Turns what wheel and pointers do into gestures, until what it returns is called. */
function listen(element: SVGSVGElement, gestures: Gestures): () => void {
  const stopped = new AbortController();
  const on = { signal: stopped.signal };
  const pointers = new Map<number, { x: number; y: number }>();
  let way = 0;

  const within = (x: number, y: number): [number, number] => {
    const { left, top } = element.getBoundingClientRect();
    return [x - left, y - top];
  };
  element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      if (event.shiftKey) gestures.pan(-event.deltaY, 0);
      else gestures.zoom(WHEEL_STEP ** -event.deltaY, ...within(event.clientX, event.clientY));
    },
    { ...on, passive: false },
  );
  element.addEventListener(
    'pointerdown',
    ({ pointerId, clientX: x, clientY: y, button }) => {
      if (button !== 0) return;
      pointers.set(pointerId, { x, y });
      way = 0;
      gestures.dragged(0);
    },
    on,
  );
  element.addEventListener(
    'pointermove',
    ({ pointerId, clientX: x, clientY: y, buttons }) => {
      const before = pointers.get(pointerId);
      if (!before) return;
      // It was let go where nobody told of it.
      if (buttons === 0) {
        pointers.delete(pointerId);
        return;
      }
      way += Math.hypot(x - before.x, y - before.y);
      gestures.dragged(way);
      if (way > DRAG_PX) element.setPointerCapture(pointerId);
      const other = [...pointers].find(([id]) => id !== pointerId)?.[1];
      if (other) {
        const apart = (point: { x: number; y: number }) =>
          Math.hypot(point.x - other.x, point.y - other.y) || 1;
        const middle = within((x + other.x) / 2, (y + other.y) / 2);
        gestures.zoom(apart({ x, y }) / apart(before), ...middle);
        gestures.pan((x - before.x) / 2, (y - before.y) / 2);
      } else if (way > DRAG_PX) gestures.pan(x - before.x, y - before.y);
      pointers.set(pointerId, { x, y });
    },
    on,
  );
  // After the state that was clicked has asked: the next click may come without a pointer.
  element.addEventListener('click', () => gestures.dragged(0), on);
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture'] as const)
    element.addEventListener(end, ({ pointerId }) => pointers.delete(pointerId), on);
  return () => stopped.abort();
}

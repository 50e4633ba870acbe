import type { RefObject } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { freeRows, type HeldRows, heldRows } from './held-rows.ts';
import { useAim } from './use-aim.ts';

/**
 * Holds a list while the pointer is in it, the keyboard is, or it is scrolled: no row moves, what is new waits, and what is gone stays.
 *
 * @param element what has the rows, and scrolls
 * @param asked what the reader has asked for, such as a filter and an order: with another one the list is as it should be
 * @returns the rows to show, and a way to show all as it is
 */
export function useHeldRows<Row>(
  element: RefObject<HTMLElement | null>,
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  asked = '',
): HeldRows<Row> & { release(): void } {
  const aim = useAim(element).value;
  const isHeld = aim.pointer || aim.keyboard || aim.scrolled;
  const [releases, setReleases] = useState(0);
  const turn = `${releases} ${asked}`;
  const before = useRef({ turn, rows });
  const held =
    isHeld && before.current.turn === turn ? heldRows(before.current.rows, rows, keyOf) : freeRows(rows);
  before.current = { turn, rows: held.rows };
  return {
    ...held,
    release() {
      element.current?.scrollTo(0, 0);
      setReleases((count) => count + 1);
    },
  };
}

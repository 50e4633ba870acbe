import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { useAim } from '../lib/use-aim.ts';

/** As in the style. */
const ROW_PX = 26;
/** Rows that are drawn beyond what is seen, so that scrolling shows no holes. */
const BEYOND = 12;

interface WindowedListProps<Item> {
  /** What is spoken of the list. */
  label: string;
  class: string;
  /** A name that is used nowhere else on the page. */
  id: string;
  items: ReadonlySignal<readonly Item[]>;
  /** Index of the chosen one, which comes into sight when it is chosen; -1 for none. */
  at: ReadonlySignal<number>;
  /**
   * Whether the end is kept in sight while it grows, unless a person has scrolled away from it; not while the pointer is in the list, as a
   * row would go away under it.
   */
  isAtEnd: ReadonlySignal<boolean>;
  /** What says that there are none. */
  empty: string;
  /** Attributes of a row for tests and styles. */
  attributes(item: Item): Record<string, string | number | boolean | undefined>;
  row(item: Item): JSX.Element;
  onChoose(item: Item): void;
  onEscape?(): void;
}

/** Rows of which one is chosen, by a click or by keys. Of thousands only those in sight are drawn. */
export function WindowedList<Item>(props: WindowedListProps<Item>): JSX.Element {
  const { items, at, id } = props;
  const list = useRef<HTMLDivElement>(null);
  const seen = useSignal({ top: 0, height: 400 });
  const aim = useAim(list);
  const look = (): void => {
    const { scrollTop: top = 0, clientHeight: height = 0 } = list.current ?? {};
    const before = seen.peek();
    if (top !== before.top || height !== before.height) seen.value = { top, height };
  };
  const kept = useRef({ index: -1, isAtEnd: false, isDue: true });
  useSignalEffect(() => {
    const index = at.value;
    const isAtEnd = props.isAtEnd.value;
    items.value;
    const before = kept.current;
    const isMoved =
      isAtEnd && before.isAtEnd
        ? isScrolledToEnd(list.current)
        : isAtEnd !== before.isAtEnd || index !== before.index;
    const isHeld = aim.value.pointer && isAtEnd && before.isAtEnd;
    kept.current = { index, isAtEnd, isDue: before.isDue || isMoved };
    const frame = requestAnimationFrame(() => {
      if (list.current && kept.current.isDue && !isHeld) {
        keepInSight(list.current, index * ROW_PX, isAtEnd);
        kept.current.isDue = false;
      }
      look();
    });
    return () => cancelAnimationFrame(frame);
  });
  /** What a person has scrolled to while the list was held stays. */
  const onScroll = (): void => {
    if (aim.peek().pointer && !isScrolledToEnd(list.current)) kept.current.isDue = false;
    look();
  };
  const activeRow = useComputed(() => {
    const { first, end } = windowOf(seen.value, items.value.length);
    return at.value >= first && at.value < end ? `${id}-${at.value}` : undefined;
  });

  const choose = (index: number): void => {
    const item = items.peek()[Math.min(Math.max(index, 0), items.peek().length - 1)];
    if (item !== undefined) props.onChoose(item);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(seen.peek().height / ROW_PX) - 1);
    const steps: Readonly<Record<string, number>> = {
      ArrowUp: -1,
      ArrowDown: 1,
      PageUp: -page,
      PageDown: page,
      Home: Number.NEGATIVE_INFINITY,
      End: Number.POSITIVE_INFINITY,
    };
    const step = steps[event.key];
    if (step !== undefined) choose(at.peek() + step);
    else if (event.key === 'Escape' && props.onEscape) props.onEscape();
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={list}
      class={props.class}
      role="listbox"
      aria-label={props.label}
      aria-activedescendant={activeRow}
      tabIndex={0}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
    >
      <Rows {...props} seen={seen} />
    </div>
  );
}

function isScrolledToEnd(list: HTMLElement | null): boolean {
  return list === null || list.scrollTop + list.clientHeight > list.scrollHeight - ROW_PX;
}

function keepInSight(list: HTMLElement, top: number, isAtEnd: boolean): void {
  if (isAtEnd) list.scrollTop = list.scrollHeight;
  else if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW_PX > list.scrollTop + list.clientHeight)
    list.scrollTop = top + ROW_PX - list.clientHeight;
}

/** The rows that are drawn. */
function windowOf(seen: { top: number; height: number }, count: number): { first: number; end: number } {
  const first = Math.max(0, Math.floor(seen.top / ROW_PX) - BEYOND);
  return { first, end: Math.min(count, first + Math.ceil(seen.height / ROW_PX) + 2 * BEYOND) };
}

function Rows<Item>({
  items,
  at,
  id,
  empty,
  seen,
  attributes,
  row,
  onChoose,
}: WindowedListProps<Item> & {
  seen: ReadonlySignal<{ top: number; height: number }>;
}): JSX.Element {
  const all = items.value;
  const { first, end } = windowOf(seen.value, all.length);
  const shown = all.slice(first, end);
  return (
    <div role="presentation" style={{ position: 'relative', height: `${all.length * ROW_PX}px` }}>
      {all.length === 0 && <p class="empty">{empty}</p>}
      {shown.map((item, offset) => {
        const index = first + offset;
        return (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the list around it takes the keys
          // biome-ignore lint/a11y/useFocusableInteractive: the list around it has the focus
          <div
            key={index}
            id={`${id}-${index}`}
            class="windowed-row"
            role="option"
            aria-selected={index === at.value}
            aria-posinset={index + 1}
            aria-setsize={all.length}
            style={{ top: `${index * ROW_PX}px` }}
            onClick={() => onChoose(item)}
            {...attributes(item)}
          >
            {row(item)}
          </div>
        );
      })}
    </div>
  );
}

import { type ReadonlySignal, useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';

/** Why something should stand still: somebody may be about to press a part of it, or reads it. */
export interface Aim {
  /** The pointer is in it. */
  pointer: boolean;
  /** The keyboard is in it. A click leaves the focus behind, too, which says nothing about where one looks. */
  keyboard: boolean;
  /** It is not scrolled to its beginning. */
  scrolled: boolean;
}

const NONE: Aim = { pointer: false, keyboard: false, scrolled: false };

/** Whether somebody aims at an element, or at something in it. */
export function useAim(element: RefObject<HTMLElement | SVGElement | null>): ReadonlySignal<Aim> {
  const aim = useSignal(NONE);
  useEffect(() => {
    const target = element.current;
    if (!target) return;
    const look = ({ type }: Event): void => {
      const { pointer, keyboard, scrolled } = aim.peek();
      const now: Aim = {
        pointer: type === 'pointerenter' || (type !== 'pointerleave' && pointer),
        keyboard: target.matches(':focus-visible, :has(:focus-visible)'),
        scrolled: target.scrollTop > 0,
      };
      if (now.pointer !== pointer || now.keyboard !== keyboard || now.scrolled !== scrolled) aim.value = now;
    };
    const stopped = new AbortController();
    for (const type of ['pointerenter', 'pointerleave', 'focusin', 'focusout', 'scroll'])
      target.addEventListener(type, look, { signal: stopped.signal });
    return () => {
      stopped.abort();
      aim.value = NONE;
    };
  }, [element, aim]);
  return aim;
}

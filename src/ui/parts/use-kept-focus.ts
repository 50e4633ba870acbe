import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/**
 * When the control that has the focus goes away, what is left of its group gets it: the keyboard would have to begin at the top of the
 * page again.
 *
 * @returns for the element around the controls; it must be able to have the focus itself
 */
export function useKeptFocus<E extends HTMLElement>(): RefObject<E | null> {
  const around = useRef<E>(null);
  // As it is before the group is drawn anew.
  const hadFocus = around.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    const group = around.current;
    if (!group || !hadFocus || group.contains(document.activeElement)) return;
    (group.querySelector<HTMLElement>('button') ?? group).focus({ preventScroll: true });
  });
  return around;
}

import type { Page } from 'playwright-core';

/** Whether a page stands still: what a reader is about to press or reads must not move while something happens. */

export interface MovesOptions {
  /** Selector of what may move, with what is in it. */
  except?: string;
  /** Only what the browser tells: measuring in each frame is work of its own. */
  shiftsOnly?: boolean;
}

/**
 * Looks at a page from now on, in two ways. The browser tells of layout shifts that no input led to. It does not tell of what a
 * transform or a scrolled box moves: what can be pressed is measured in each frame.
 */
export async function watchMoves(
  page: Page,
  { except = '', shiftsOnly = false }: MovesOptions = {},
): Promise<{
  /** Stops looking. @returns what moved, each thing once, with how far */
  end(): Promise<string[]>;
}> {
  await page.evaluate(WATCH);
  await page.evaluate(`globalThis.endWatch_ = watch_(${JSON.stringify({ except, shiftsOnly })})`);
  return { end: async () => await page.evaluate<string[]>('endWatch_()') };
}

/** In the page. A piece of text that keeps its end grows within its own room, as numbers in a column do: it has not moved. */
const WATCH = `
globalThis.watch_ = ({ except, shiftsOnly }) => {
  const moved = new Map();
  const began = performance.now();
  const isExcepted = (element) => except !== '' && element.closest(except) !== null;
  const nameOf = (element) => {
    const { tagName, className, dataset } = element;
    const classes = typeof className === 'string' && className ? '.' + className.split(' ')[0] : '';
    const label = element.getAttribute('aria-label') ?? element.textContent.slice(0, 40);
    return tagName.toLowerCase() + classes + (dataset.column ? '[' + dataset.column + ']' : '') + ' "' + label.trim() + '"';
  };
  const hasMoved = (was, is) =>
    Math.abs(is.top - was.top) > 1 || (Math.abs(is.left - was.left) > 1 && Math.abs(is.right - was.right) > 1);
  const note = (how, element, was, is) => {
    const key = how + ' ' + nameOf(element);
    const by = Math.round(is.left - was.left) + ',' + Math.round(is.top - was.top);
    if (!moved.has(key)) moved.set(key, key + ' by ' + by);
  };
  const observer = new PerformanceObserver((list) => {
    for (const { hadRecentInput, startTime, sources } of list.getEntries()) {
      if (hadRecentInput || startTime < began) continue;
      for (const { node, previousRect, currentRect } of sources) {
        const element = node?.nodeType === Node.TEXT_NODE ? node.parentElement : node;
        // What comes into sight, or goes out of it, has no place there.
        if (previousRect.width === 0 || currentRect.width === 0) continue;
        if (!element || isExcepted(element) || !hasMoved(previousRect, currentRect)) continue;
        note('shift', element, previousRect, currentRect);
      }
    }
  });
  observer.observe({ type: 'layout-shift', buffered: true });
  const pressable = 'a[href], button, input, select, textarea, summary, [role=option], [tabindex="0"]';
  let before = new Map();
  let frame = 0;
  const look = () => {
    const now = new Map();
    for (const element of document.querySelectorAll(pressable)) {
      const is = element.getBoundingClientRect();
      if (is.width === 0 || is.bottom < 0 || is.top > innerHeight || isExcepted(element)) continue;
      now.set(element, is);
      const was = before.get(element);
      if (was && hasMoved(was, is)) note('move', element, was, is);
    }
    before = now;
    frame = requestAnimationFrame(look);
  };
  if (!shiftsOnly) look();
  return async () => {
    // What was changed last is drawn in the next frame, and told after it.
    for (let frames = 0; frames < 3; frames += 1) await new Promise(requestAnimationFrame);
    cancelAnimationFrame(frame);
    observer.disconnect();
    return [...moved.values()];
  };
};
`;

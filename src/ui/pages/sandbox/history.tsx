import { type Signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../../lib/api.ts';
import type { Transition } from '../../lib/types.ts';
import { useHeldRows } from '../../lib/use-held-rows.ts';
import { wait } from '../../lib/wait.ts';
import { TransitionList } from '../../parts/transition-list.tsx';
import { newestTransitions, transitionsAfter } from './transitions.ts';

/** Newest transitions that are shown. The visualizer has all of them. */
const SHOWN = 100;
/** The records are asked again for what is missing after so many milliseconds, and so often. */
const BEHIND_MS = 500;
const TRIES_MAX = 20;

/**
 * What happened to a sandbox.
 *
 * @param props.seq number of its last transition: what is new is asked for when it grows
 */
export function History({ id, seq }: { id: string; seq: number }): JSX.Element {
  const known = useSignal<readonly Transition[]>([]);
  useEffect(() => {
    const replaced = new AbortController();
    loadUntil(id, seq, known, replaced.signal).catch((error: unknown) => {
      // What is there stays; the page says when the server does not answer.
      if (!replaced.signal.aborted && !(error instanceof ApiError)) throw error;
    });
    return () => replaced.abort();
  }, [id, seq, known]);
  const list = useRef<HTMLDivElement>(null);
  const held = useHeldRows(list, known.value, keyOf);
  return (
    <section class="panel sandbox-history" aria-labelledby="history">
      <div class="sandbox-history-head">
        <h2 id="history">Transitions, newest first</h2>
        {held.waiting > 0 && (
          <button type="button" data-size="row" onClick={held.release}>
            {held.waiting} new – show
          </button>
        )}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <div class="sandbox-history-list" ref={list} tabIndex={0}>
        <TransitionList transitions={held.rows} />
      </div>
    </section>
  );
}

function keyOf({ seq }: Transition): string {
  return String(seq);
}

/** Asks for what is not known yet, again and again until the records have it all: they are a moment behind the sandbox. */
async function loadUntil(
  id: string,
  seq: number,
  known: Signal<readonly Transition[]>,
  replaced: AbortSignal,
): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX && !replaced.aborted; tries += 1) {
    if (tries > 0) await wait(BEHIND_MS, replaced);
    const last = known.peek()[0]?.seq;
    if (last !== undefined && last >= seq) return;
    const transitions = await (last === undefined
      ? newestTransitions(id, seq, SHOWN, replaced)
      : transitionsAfter(id, last, replaced));
    known.value = [...transitions.toReversed(), ...known.peek()].slice(0, SHOWN);
  }
}

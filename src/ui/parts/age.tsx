import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { dateTime } from '../lib/format.ts';
import { ageSince } from '../lib/now.ts';

/** How long ago something was. It keeps up with the time without its row being drawn again. */
export function Age({ at }: { at: string }): JSX.Element {
  const text = useMemo(() => ageSince(at), [at]);
  return (
    <time class="mono" dateTime={at} title={dateTime(at)}>
      {text}
    </time>
  );
}

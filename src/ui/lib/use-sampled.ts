import type { ReadonlySignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { sampled } from './sampled.ts';

/** What `sampled` gives, for as long as the component is there. */
export function useSampled<T>(source: ReadonlySignal<T>, everyMs: number): ReadonlySignal<T> {
  const { sample, stop } = useMemo(() => sampled(source, everyMs), [source, everyMs]);
  useEffect(() => stop, [stop]);
  return sample;
}

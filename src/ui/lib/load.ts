import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, type Problem } from './api.ts';
import { apiKey } from './session.ts';

/** What a page asks of the server when it opens. */
export interface Loaded<T> {
  /** Undefined before the first answer; what was there stays while it is asked for again. */
  data: T | undefined;
  /** Why the last try failed. */
  problem: Problem | undefined;
  isLoading: boolean;
  reload(): void;
}

/**
 * Loads something when the component is shown, when one of `inputs` or the key changes, and when `reload` is called.
 *
 * @param load is given up through its signal; may throw `ApiError`
 * @param everyMs loads again so often while the page is seen, in milliseconds; for what no stream tells of
 */
export function useLoaded<T>(
  load: (signal: AbortSignal) => Promise<T>,
  inputs: readonly unknown[] = [],
  { everyMs }: { everyMs?: number } = {},
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, 'reload'>>({
    data: undefined,
    problem: undefined,
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const key = apiKey.value;
  useEffect(() => {
    const replaced = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    latest.current(replaced.signal).then(
      (data) => {
        if (!replaced.signal.aborted) setState({ data, problem: undefined, isLoading: false });
      },
      (error: unknown) => {
        if (replaced.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        setState((before) => ({ ...before, problem: error.problem, isLoading: false }));
      },
    );
    return () => replaced.abort();
  }, [turn, key, ...inputs]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    if (everyMs === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden) reload();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, reload]);
  return { ...state, reload };
}

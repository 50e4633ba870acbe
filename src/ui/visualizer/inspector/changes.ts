/** The context of a machine as lines, and what a transition changed of it. */

interface ContextLine {
  /** Names from the outermost in, joined by dots. */
  path: string;
  name: string;
  depth: number;
  /** Text of a plain value; null for an object or list with lines of its own, and for what is not there. */
  value: string | null;
  change: 'new' | 'changed' | 'gone' | null;
}

/** The lines that were there at any moment, by their path. */
export type ContextPlaces = Map<string, Pick<ContextLine, 'path' | 'name' | 'depth'>>;

type Values = Readonly<Record<string, unknown>>;

/**
 * The lines of a context.
 *
 * @param before the context of the transition before; null when it is not known, and then nothing is called changed
 */
export function contextLines(context: Values, before: Values | null): ContextLine[] {
  return linesOf(context, before, '', 0);
}

/** Notes which lines a context has. */
export function notePlaces(places: ContextPlaces, context: Values): void {
  for (const { path, name, depth } of contextLines(context, null)) places.set(path, { path, name, depth });
}

/** The lines of a context as `contextLines` tells them, among those that are not there now: each keeps its place while others come and go. */
export function linesInPlaces(places: ContextPlaces, context: Values, before: Values | null): ContextLine[] {
  const lines = new Map(contextLines(context, before).map((line) => [line.path, line]));
  const old = new Set(contextLines(before ?? {}, null).map(({ path }) => path));
  return [...new Map([...places, ...lines]).values()]
    .map(
      (place): ContextLine =>
        lines.get(place.path) ?? { ...place, value: null, change: old.has(place.path) ? 'gone' : null },
    )
    .sort((one, other) => comparePaths(one.path.split('.'), other.path.split('.')));
}

function comparePaths(one: readonly string[], other: readonly string[]): number {
  for (const [depth, name] of one.entries()) {
    const beside = other[depth];
    if (beside === undefined) return 1;
    if (name !== beside) return compareNames(name, beside);
  }
  return one.length - other.length;
}

function linesOf(values: Values, before: Values | null, prefix: string, depth: number): ContextLine[] {
  return Object.entries(values)
    .sort(byName)
    .flatMap(([name, value]) => {
      const path = prefix + name;
      const known = before !== null && name in before;
      const old = known ? before[name] : undefined;
      const isSame = before === null || (known && JSON.stringify(old) === JSON.stringify(value));
      const change = isSame ? null : known ? 'changed' : 'new';
      if (!isValues(value) || Object.keys(value).length === 0)
        return [{ path, name, depth, value: textOf(value), change }];
      const inside = isSame ? null : isValues(old) ? old : {};
      return [{ path, name, depth, value: null, change }, ...linesOf(value, inside, `${path}.`, depth + 1)];
    });
}

/** The records do not keep an order, and lines must not change places between the past and the present. Lists keep theirs. */
function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return compareNames(a, b);
}

function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The context of a machine as lines, and what a transition changed of it. */

interface ContextLine {
  /** Names from the outermost in, joined by dots. */
  path: string;
  name: string;
  depth: number;
  /** Text of a plain value; null for an object or list with lines of its own. */
  value: string | null;
  change: 'new' | 'changed' | null;
}

type Values = Readonly<Record<string, unknown>>;

/**
 * The lines of a context.
 *
 * @param before the context of the transition before; null when it is not known, and then nothing is called changed
 */
export function contextLines(context: Values, before: Values | null): ContextLine[] {
  return linesOf(context, before, '', 0);
}

/** Names of what was there before and is no more, on the outermost level. */
export function goneFrom(context: Values, before: Values | null): string[] {
  return before === null ? [] : Object.keys(before).filter((name) => !(name in context));
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
  return a.localeCompare(b, 'en', { numeric: true });
}

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

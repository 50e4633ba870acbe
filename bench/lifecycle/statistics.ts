/**
 * The value below which the given share of the samples lies, with linear interpolation between neighbours (type 7 of
 * Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996).
 *
 * @param share between 0 and 1
 */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

export interface Summary {
  rounds: number;
  p50: number;
  p95: number;
}

/** Median and 95th percentile, in the samples' unit. */
export function summarize(samples: readonly number[]): Summary {
  return { rounds: samples.length, p50: quantile(samples, 0.5), p95: quantile(samples, 0.95) };
}

/** Samples by the name of what was measured. */
export class Samples<Name extends string> {
  readonly #byName = new Map<Name, number[]>();

  add(name: Name, value: number): void {
    const known = this.#byName.get(name);
    if (known) known.push(value);
    else this.#byName.set(name, [value]);
  }

  of(name: Name): readonly number[] {
    return this.#byName.get(name) ?? [];
  }

  names(): Name[] {
    return [...this.#byName.keys()];
  }
}

import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/**
 * The tape: every choice that a run makes, such as which of the waiting tasks goes on next, is an integer read from it. So a
 * run is replayed from an array of numbers, and a shorter or smaller array is a simpler run. Beyond its end a choice is 0,
 * the oldest task, or drawn from a seed.
 */
export class Tape {
  /** The choices as they were made. */
  readonly played: number[] = [];
  readonly #given: readonly number[];
  readonly #more: (() => number) | undefined;

  /**
   * @param given the first choices
   * @param more draws the choices after them; 0 when absent
   */
  constructor(given: readonly number[] = [], more?: () => number) {
    this.#given = given;
    this.#more = more;
  }

  /** A choice among `count` possibilities, from 0 on. */
  choose(count: number): number {
    const drawn = this.#given[this.played.length] ?? this.#more?.() ?? 0;
    const choice = drawn % count;
    this.played.push(choice);
    return choice;
  }
}

/** Non-negative integers from a seed, always the same ones. */
export function randomFrom(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => generator.next() >>> 1;
}

import type { Slot } from '../../../src/drivers/network/types.ts';

/** The host's network namespaces. They go with the power; a slot is known again by its holder's name. */
export class Slots {
  readonly #holders = new Map<number, string>();

  slotOf(number: number): Slot {
    return {
      number,
      namespace: `dm-slot-${number}`,
      namespacePath: `/run/netns/dm-slot-${number}`,
      tap: 'tap0',
      address: `10.200.0.${number}`,
    };
  }

  /** Makes sure that the holder has a slot: the one it has, else the lowest that is free. */
  acquire(holder: string): Slot {
    for (const [number, other] of this.#holders) if (other === holder) return this.slotOf(number);
    let number = 1;
    while (this.#holders.has(number)) number += 1;
    this.#holders.set(number, holder);
    return this.slotOf(number);
  }

  release(holder: string): void {
    for (const [number, other] of this.#holders) if (other === holder) this.#holders.delete(number);
  }

  list(): Array<{ slot: Slot; holder: string }> {
    return [...this.#holders].map(([number, holder]) => ({ slot: this.slotOf(number), holder }));
  }

  losePower(): void {
    this.#holders.clear();
  }
}

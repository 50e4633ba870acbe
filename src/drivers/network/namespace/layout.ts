import type { Slot } from '../types.ts';

/**
 * Names and addresses of a slot, all from its number, which is unique on the machine:
 *
 * ```
 *   host                 namespace dormouse-<n>                                guest
 *   dormouse-<n> ─veth── veth0                     tap0 169.254.0.22/30 ── 169.254.0.21
 *   10.200.x.2k/31       10.200.x.(2k+1)/31 ─DNAT─▸
 * ```
 *
 * Slot n has the two addresses 2n and 2n+1 of 10.200.0.0/16 (a /31 link, RFC 3021). The host's route to it is the
 * connected one, so nothing of the root namespace is set besides the veth's own end.
 */

/** Slots that fit into 10.200.0.0/16. */
export const SLOTS_MAX = 2 ** 15;
export const TAP = 'tap0';
export const UPLINK = 'veth0';
const NAMESPACES = '/run/netns';
const SLOTS_PER_OCTET = 128;

export function slotOf(number: number): Slot {
  const namespace = `dormouse-${number}`;
  return {
    number,
    namespace,
    namespacePath: `${NAMESPACES}/${namespace}`,
    tap: TAP,
    address: address(number, 1),
  };
}

/** The host's end of the slot's link, as address and as device. The device has the namespace's name: 14 of 15 characters. */
export function hostEnd(number: number): { address: string; device: string } {
  return { address: address(number, 0), device: `dormouse-${number}` };
}

function address(number: number, end: 0 | 1): string {
  if (!Number.isInteger(number) || number < 0 || number >= SLOTS_MAX)
    throw new RangeError(`slot ${number} is not one of 0 to ${SLOTS_MAX - 1}`);
  return `10.200.${Math.floor(number / SLOTS_PER_OCTET)}.${2 * (number % SLOTS_PER_OCTET) + end}`;
}

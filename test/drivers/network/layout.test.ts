import fc from 'fast-check';
import t from 'tap';
import { hostEnd, SLOTS_MAX, slotOf } from '../../../src/drivers/network/namespace/layout.ts';

/** A dotted address as a number. */
const asNumber = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

t.test('the two ends of a slot are the two addresses of a /31, and no other slot has them', async (t) => {
  const seen = new Set<number>();
  for (let number = 0; number < SLOTS_MAX; number += 1) {
    const [host, slot] = [asNumber(hostEnd(number).address), asNumber(slotOf(number).address)];
    if (host % 2 !== 0 || slot !== host + 1) t.fail(`slot ${number} is no /31`);
    if (Math.floor(host / 2 ** 16) !== 10 * 256 + 200) t.fail(`slot ${number} is not in 10.200.0.0/16`);
    seen.add(host).add(slot);
  }
  t.equal(seen.size, 2 * SLOTS_MAX);
});

t.test('names fit into what the kernel allows', async (t) => {
  for (const number of [0, 9, 127, 128, SLOTS_MAX - 1]) {
    // IFNAMSIZ is 16, with the final NUL.
    t.ok(hostEnd(number).device.length <= 15);
    t.equal(slotOf(number).namespacePath, `/run/netns/dormouse-${number}`);
  }
});

t.test('what is no slot number is refused', async (t) => {
  const check = fc.property(
    fc.oneof(fc.integer({ max: -1 }), fc.integer({ min: SLOTS_MAX }), fc.double({ noInteger: true })),
    (number) => {
      fc.pre(!Number.isInteger(number) || number < 0 || number >= SLOTS_MAX);
      try {
        slotOf(number);
        return false;
      } catch (error) {
        return error instanceof RangeError;
      }
    },
  );
  const result = fc.check(check);
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

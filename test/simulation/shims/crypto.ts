import { theWorld } from '../world/world.ts';

/** `node:crypto` as Dormouse's code sees it in the simulation: chance comes from a counter, so that a run is always the same. */
export { createHash, createHmac } from 'node:crypto';

export function randomBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = theWorld().drawSeed();
  for (let at = 0; at < size; at += 1) {
    // xorshift32 (Marsaglia, 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
}

export function randomUUID(): string {
  const hex = randomBytes(16).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

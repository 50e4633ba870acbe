import { theWorld } from '../world/world.ts';

/** `src/boot-id.ts` in the simulation: another one after each power cut. */
export async function bootId(): Promise<string> {
  return `boot-${theWorld().bootNumber}`;
}

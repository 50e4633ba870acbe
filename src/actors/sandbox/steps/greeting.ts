import { GUEST_PORT, type GuestEndpoint } from '../../../drivers/guest/types.ts';
import { DormouseError, hasCode } from '../../../errors/index.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers } from '../drivers.ts';

/** What a step may take beyond the time that the guest has: the guest's silence is then told as what it is. */
export const GREETING_SLACK_MS = 5_000;

/** How a request reaches the sandbox's guest kit. */
export function guestEndpoint(context: Pick<SandboxContext, 'slot'>, token: string): GuestEndpoint {
  if (!context.slot) throw new DormouseError('INTERNAL', 'The sandbox has no network slot.');
  return { address: context.slot.address, port: GUEST_PORT, token };
}

/**
 * Gives the guest clock, entropy, host name, machine id and MAC address of its own: the first request after every load.
 *
 * The kit takes `token` until it has carried this out and `nextToken` from then on. When a run of this step was
 * interrupted in between, nobody knows which one it takes now: the old one is tried first, then the next.
 */
export async function identifyGuest(
  { guest, clock, guestTimeoutMs }: SandboxDrivers,
  context: SandboxContext,
  tokens: { token: string; nextToken: string },
  signal: AbortSignal,
): Promise<GuestEndpoint> {
  const late = new AbortController();
  const timer = clock.after(guestTimeoutMs, () => late.abort(new Error(`it had ${guestTimeoutMs} ms`)));
  const patience = AbortSignal.any([signal, late.signal]);
  const identity = {
    hostname: context.id,
    mac: context.mac,
    machineId: context.machineId,
    nextToken: tokens.nextToken,
  };
  try {
    await guest.identify(guestEndpoint(context, tokens.token), identity, patience);
  } catch (error) {
    if (!hasCode(error, 'GUEST_REFUSED')) throw error;
    await guest.identify(guestEndpoint(context, tokens.nextToken), identity, patience);
  } finally {
    timer.cancel();
  }
  return guestEndpoint(context, tokens.nextToken);
}

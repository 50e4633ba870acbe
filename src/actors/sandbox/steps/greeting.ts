import { GUEST_PORT, type GuestEndpoint } from '../../../drivers/guest/types.ts';
import { DormouseError, hasCode } from '../../../errors/index.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxDrivers } from '../drivers.ts';

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
  { guest }: SandboxDrivers,
  context: SandboxContext,
  tokens: { token: string; nextToken: string },
  signal: AbortSignal,
): Promise<GuestEndpoint> {
  const identity = {
    hostname: context.id,
    mac: context.mac,
    machineId: context.machineId,
    nextToken: tokens.nextToken,
  };
  try {
    await guest.identify(guestEndpoint(context, tokens.token), identity, signal);
  } catch (error) {
    if (!hasCode(error, 'GUEST_REFUSED')) throw error;
    await guest.identify(guestEndpoint(context, tokens.nextToken), identity, signal);
  }
  return guestEndpoint(context, tokens.nextToken);
}

import { randomBytes } from 'node:crypto';
import type { SandboxInput } from '../sandbox/context.ts';

/** A new MAC address: locally administered, unicast (IEEE 802: second-lowest bit of the first octet set, lowest clear). */
export function newMac(): string {
  return `02:64:${[...randomBytes(4)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

/** What makes a sandbox itself and no other: drawn anew for each. */
export function newIdentity(): Pick<SandboxInput, 'mac' | 'machineId' | 'secret'> {
  return {
    mac: newMac(),
    machineId: randomBytes(16).toString('hex'),
    secret: randomBytes(32).toString('hex'),
  };
}

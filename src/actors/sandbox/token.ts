import { createHmac } from 'node:crypto';
import type { SandboxContext } from './context.ts';

/**
 * The tokens that a sandbox's guest kit accepts, derived rather than stored, so that a step that is run again after a
 * crash knows both the one before and the one after it: HMAC-SHA-256 (RFC 2104) over the sandbox's secret.
 */

/** The token of one run of the sandbox, 64 hexadecimal digits. */
export function runToken(context: Pick<SandboxContext, 'secret'>, execution: number): string {
  return derive(context.secret, `run ${execution}`);
}

/** The token that a cold boot of that run begins with. It stands on the kernel's command line until the first identify. */
export function bootToken(context: Pick<SandboxContext, 'secret'>, execution: number): string {
  return derive(context.secret, `boot ${execution}`);
}

function derive(secret: string, purpose: string): string {
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(purpose).digest('hex');
}

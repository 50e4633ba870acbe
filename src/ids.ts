import { createHash, randomBytes } from 'node:crypto';

/**
 * Ids are parts of subjects, file names and host names, so their alphabet is narrow and checked where they enter:
 * a sandbox is `sb-` and 20 characters of `a-z2-7` (100 random bits), a team is a UUID.
 */
export const SANDBOX_ID_PATTERN = '^sb-[a-z2-7]{20}$';
export const TEAM_ID_PATTERN = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
export const HOST_ID_PATTERN = '^[a-z0-9][a-z0-9-]{0,31}$';
export const COMMAND_ID_PATTERN = '^[A-Za-z0-9_.:-]{1,128}$';
export const TEMPLATE_NAME_PATTERN = '^[a-z0-9][a-z0-9._-]{0,62}$';

/** The team that owns platform templates; every team sees what belongs to it. */
export const PLATFORM_TEAM_ID = '00000000-0000-0000-0000-000000000000';

/** The team that the first start makes, so that one person needs to know nothing of teams. */
export const DEFAULT_TEAM_ID = '00000000-0000-4000-8000-000000000001';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const SANDBOX_ID_CHARS = 20;

/** A new sandbox id from the system's random source. */
export function newSandboxId(): string {
  return `sb-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/**
 * The sandbox id that belongs to a team's idempotency key: the same key gives the same sandbox, whichever edge,
 * scheduler or host sees it, so a create that is sent again cannot make a second one.
 */
export function sandboxIdForKey(teamId: string, idempotencyKey: string): string {
  return `sb-${base32(createHash('sha256').update(`${teamId}\n${idempotencyKey}`).digest().subarray(0, SANDBOX_ID_CHARS))}`;
}

/** A new command id: what makes a command that is delivered twice be done once. */
export function newCommandId(): string {
  return `c-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/** A new id of a file that a template is to be built from. */
export function newUploadId(): string {
  return `u-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/** A new id of a template, which names its folder on the host that makes it. */
export function newTemplateId(): string {
  return `t-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/** A new id of a copy of a sandbox, which names its folder while it is there. */
export function newCaptureId(): string {
  return `k-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/** The id of the upload that belongs to a team's idempotency key: sent again, it is the same file. */
export function uploadIdForKey(teamId: string, idempotencyKey: string): string {
  return `u-${base32(createHash('sha256').update(`upload\n${teamId}\n${idempotencyKey}`).digest().subarray(0, SANDBOX_ID_CHARS))}`;
}

/** A new id of an HTTP request whose sender gave it none. */
export function newRequestId(): string {
  return `r-${base32(randomBytes(SANDBOX_ID_CHARS))}`;
}

/** A host id that does not change between starts is kept in the data directory; this makes the first one. */
export function newHostId(): string {
  return `h-${base32(randomBytes(8))}`;
}

/** True when `value` has the form of a sandbox id. */
export function isSandboxId(value: string): boolean {
  return new RegExp(SANDBOX_ID_PATTERN).test(value);
}

/** Five bits of each byte as one character: short, lower case, and safe in a subject, a file name and a host name. */
function base32(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join('');
}

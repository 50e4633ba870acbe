import type { ErrorCode } from '../errors/index.ts';

/** Which errors a route can answer with: for OpenAPI, and for the test that holds every answer against it. */

/** Every route that asks for a key. */
export const KEYED = [
  'INVALID_REQUEST',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'RECORDS_UNAVAILABLE',
  'INTERNAL',
] as const satisfies readonly ErrorCode[];

/** Routes that take a body. */
export const BODY = [
  'MALFORMED_JSON',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
] as const satisfies readonly ErrorCode[];

/** Routes that ask an actor. */
export const ASKING = [
  'MAILBOX_FULL',
  'HOST_UNREACHABLE',
  'BUS_UNAVAILABLE',
  'SERVER_UNREACHABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'BAD_REPLY',
] as const satisfies readonly ErrorCode[];

/** Commands that lead a sandbox from one state to another. */
export const STEPS = [
  'STEP_FAILED',
  'STEP_TIMEOUT',
  'DISK_FULL',
  // A resume, or a boot, for which the host has no room now.
  'NO_HOST_AVAILABLE',
  'DATA_DIR_UNWRITABLE',
  'DISK_FAILED',
  'DEVICE_BUSY',
  'LOOP_FAILED',
  'NETWORK_FAILED',
  'VMM_MISSING',
  'VMM_FAILED',
  'VMM_GONE',
  'SNAPSHOT_INVALID',
  'SANDBOX_STRANDED',
  'GUEST_UNREACHABLE',
  'GUEST_REFUSED',
  'GUEST_PROTOCOL',
] as const satisfies readonly ErrorCode[];

/** Commands to a sandbox. */
export const COMMANDS = [
  // Its host stops in the middle of it.
  'HOST_DRAINING',
  'SANDBOX_NOT_FOUND',
  'SANDBOX_WRONG_STATE',
  'IDEMPOTENCY_KEY_REUSED',
] as const satisfies readonly ErrorCode[];

export const EXEC = [
  'EXEC_NOT_FOUND',
  'EXEC_NOT_EXECUTABLE',
  'EXEC_BAD_CWD',
  'EXEC_UNKNOWN_USER',
  'EXEC_INTERRUPTED',
] as const satisfies readonly ErrorCode[];

export const CREATE = [
  'INVALID_SIZE',
  'QUOTA_EXCEEDED',
  'TEMPLATE_NOT_FOUND',
  // Its start command does not come to an end that lets a sandbox be made.
  'TEMPLATE_NOT_READY',
  'IDEMPOTENCY_KEY_REUSED',
  'NO_HOST_AVAILABLE',
  'HOST_DRAINING',
  'SANDBOX_LOST',
  // Made by the same key and destroyed, before the records heard of either.
  'SANDBOX_NOT_FOUND',
] as const satisfies readonly ErrorCode[];

/** Making a template, from whatever. */
export const BUILD = [
  'TEMPLATE_EXISTS',
  'TEMPLATE_IN_USE',
  'TEMPLATE_INVALID',
  'TEMPLATE_NOT_READY',
  'INVALID_SIZE',
  'HOST_DRAINING',
  'NO_HOST_AVAILABLE',
  'DEPENDENCY_MISSING',
  // A sandbox that it is made from.
  'SANDBOX_NOT_FOUND',
  'SANDBOX_WRONG_STATE',
  'IDEMPOTENCY_KEY_REUSED',
] as const satisfies readonly ErrorCode[];

export const FORK = [
  'INVALID_SIZE',
  'QUOTA_EXCEEDED',
  'NO_HOST_AVAILABLE',
  'HOST_DRAINING',
  'SANDBOX_LOST',
] as const satisfies readonly ErrorCode[];

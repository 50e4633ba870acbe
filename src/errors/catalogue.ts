/**
 * Every error that Dormouse answers with, in one table.
 *
 * `status` is the HTTP status (and the `Nats-Service-Error-Code` header). `answer` says what the caller can do:
 *
 * - `refused`: the request cannot succeed as it is; change it.
 * - `retry`: the same request may succeed later; nothing was done, or what was done is safe to repeat.
 * - `stuck`: Dormouse could not do it and could not fully undo it, or failed in a way that a person should see.
 *
 * A code is a promise to clients: never rename one, never reuse one.
 */
export const catalogue = {
  // The request itself.
  INVALID_REQUEST: { status: 400, answer: 'refused', title: 'The request is not valid' },
  MALFORMED_JSON: { status: 400, answer: 'refused', title: 'The body is not JSON' },
  INVALID_SIZE: { status: 400, answer: 'refused', title: 'A size is impossible' },
  UNAUTHENTICATED: { status: 401, answer: 'refused', title: 'The API key is missing or wrong' },
  FORBIDDEN: { status: 403, answer: 'refused', title: 'The API key does not allow this' },
  ROUTE_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such route' },
  SANDBOX_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such sandbox' },
  TEMPLATE_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such template' },
  SNAPSHOT_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such snapshot' },
  TEAM_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such team' },
  HOST_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such host' },
  KEY_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such API key' },
  MACHINE_NOT_FOUND: { status: 404, answer: 'refused', title: 'There is no such machine' },
  QUOTA_EXCEEDED: { status: 403, answer: 'refused', title: "The team's quota does not allow this" },
  METHOD_NOT_ALLOWED: { status: 405, answer: 'refused', title: 'The route does not take this method' },
  REQUEST_TIMEOUT: { status: 408, answer: 'retry', title: 'The request did not come in time' },
  SANDBOX_WRONG_STATE: {
    status: 409,
    answer: 'refused',
    title: 'The sandbox is in a state that does not take this command',
  },
  TEMPLATE_EXISTS: { status: 409, answer: 'refused', title: 'There is a template of this name' },
  TEMPLATE_IN_USE: { status: 409, answer: 'refused', title: 'Disks stand on the image of the template' },
  TEAM_IN_USE: { status: 409, answer: 'refused', title: 'The team has sandboxes or templates' },
  UPLOAD_BROKEN: { status: 409, answer: 'retry', title: 'The upload lacks a part' },
  TEMPLATE_INVALID: { status: 422, answer: 'refused', title: 'The file cannot become a template' },
  TEMPLATE_NOT_READY: {
    status: 422,
    answer: 'refused',
    title: 'A sandbox of the template does not get ready',
  },
  PAYLOAD_TOO_LARGE: { status: 413, answer: 'refused', title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, answer: 'refused', title: 'The route takes no body of this type' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    answer: 'refused',
    title: 'The idempotency key was used for another request',
  },
  RATE_LIMITED: { status: 429, answer: 'retry', title: 'Too many requests' },
  HEADERS_TOO_LARGE: { status: 431, answer: 'refused', title: 'Path and headers are too large' },

  // Running a command in the guest.
  EXEC_NOT_FOUND: { status: 422, answer: 'refused', title: 'The program was not found in the sandbox' },
  EXEC_NOT_EXECUTABLE: {
    status: 422,
    answer: 'refused',
    title: 'The program cannot be executed in the sandbox',
  },
  EXEC_BAD_CWD: {
    status: 422,
    answer: 'refused',
    title: 'The working directory does not exist in the sandbox',
  },
  EXEC_UNKNOWN_USER: { status: 422, answer: 'refused', title: 'The user does not exist in the sandbox' },
  EXEC_INTERRUPTED: {
    status: 409,
    answer: 'retry',
    title: 'The sandbox was paused or stopped while the command ran',
  },

  // The system around the sandbox.
  MAILBOX_FULL: { status: 503, answer: 'retry', title: 'The actor has too many messages waiting' },
  NO_HOST_AVAILABLE: { status: 503, answer: 'retry', title: 'No host can take the sandbox now' },
  HOST_UNREACHABLE: { status: 503, answer: 'retry', title: "The sandbox's host does not answer" },
  HOST_DRAINING: { status: 503, answer: 'retry', title: 'The host stops, or takes no new sandboxes' },
  BUS_UNAVAILABLE: { status: 503, answer: 'retry', title: 'The message bus is not reachable' },
  RECORDS_UNAVAILABLE: { status: 503, answer: 'retry', title: 'The database is not reachable' },
  DEADLINE_EXCEEDED: { status: 504, answer: 'retry', title: 'The deadline passed before the answer' },
  CANCELLED: { status: 499, answer: 'retry', title: 'The caller cancelled the request' },
  PAGES_NOT_BUILT: { status: 503, answer: 'retry', title: 'The pages are not built' },
  SERVER_UNREACHABLE: { status: 503, answer: 'retry', title: 'No Dormouse server answers' },
  BAD_REPLY: {
    status: 502,
    answer: 'stuck',
    title: 'A component answered something that its schema does not allow',
  },

  // Steps of a sandbox's life.
  STEP_FAILED: { status: 500, answer: 'stuck', title: "A step of the sandbox's life failed" },
  STEP_TIMEOUT: { status: 504, answer: 'retry', title: "A step of the sandbox's life took too long" },
  DISK_FULL: { status: 507, answer: 'retry', title: "The host's disk is full" },
  DATA_DIR_UNWRITABLE: { status: 507, answer: 'stuck', title: "The host's data directory cannot be written" },
  DISK_FAILED: { status: 500, answer: 'stuck', title: 'The disk could not be made, attached or removed' },
  DISK_LOST: { status: 500, answer: 'stuck', title: "The sandbox's disk cannot be read any more" },
  IMAGE_CHANGED: {
    status: 500,
    answer: 'stuck',
    title: 'The image is not the one that the disk was made from',
  },
  DEVICE_BUSY: { status: 503, answer: 'retry', title: 'A device is in use by somebody else' },
  NETWORK_FAILED: { status: 500, answer: 'stuck', title: 'The network slot could not be made' },
  VMM_MISSING: { status: 500, answer: 'stuck', title: 'The virtual machine monitor is not installed' },
  VMM_FAILED: { status: 500, answer: 'stuck', title: 'The virtual machine monitor failed' },
  VMM_GONE: { status: 500, answer: 'stuck', title: "The sandbox's virtual machine is gone" },
  SNAPSHOT_INVALID: { status: 500, answer: 'stuck', title: 'The snapshot cannot be loaded' },
  GUEST_UNREACHABLE: { status: 504, answer: 'retry', title: 'The guest did not answer' },
  GUEST_REFUSED: { status: 502, answer: 'stuck', title: 'The guest does not accept the token' },
  GUEST_PROTOCOL: {
    status: 502,
    answer: 'stuck',
    title: 'The guest answered something that the protocol does not allow',
  },
  LOOP_FAILED: { status: 500, answer: 'stuck', title: 'A loop device could not be attached or detached' },
  LOOP_NOT_HELD: { status: 409, answer: 'refused', title: 'The holder does not hold this loop device' },
  SANDBOX_STRANDED: {
    status: 500,
    answer: 'stuck',
    title: 'Something of the sandbox could not be undone and is kept',
  },
  SANDBOX_LOST: { status: 500, answer: 'stuck', title: 'The sandbox is gone: its host does not know it' },

  // Starting up.
  CONFIG_INVALID: { status: 500, answer: 'refused', title: 'The configuration is not valid' },
  DATA_DIR_IN_USE: { status: 500, answer: 'refused', title: 'Another Dormouse uses this data directory' },
  DATA_DIR_TOO_LONG: { status: 500, answer: 'refused', title: 'The path of the data directory is too long' },
  PORT_IN_USE: { status: 500, answer: 'refused', title: 'The port is in use' },
  DEPENDENCY_MISSING: {
    status: 500,
    answer: 'refused',
    title: 'A program that Dormouse needs is not installed',
  },
  CHILD_FAILED: { status: 500, answer: 'stuck', title: 'A server that Dormouse starts did not come up' },
  INTERNAL: { status: 500, answer: 'stuck', title: 'Dormouse failed in a way it does not know' },
} as const satisfies Record<string, { status: number; answer: 'refused' | 'retry' | 'stuck'; title: string }>;

export type ErrorCode = keyof typeof catalogue;
export type ErrorAnswer = (typeof catalogue)[ErrorCode]['answer'];

/** True when `code` names an entry of the catalogue; used on data that came over the wire. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(catalogue, code);
}

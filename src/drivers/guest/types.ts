/**
 * The guest kit as the host sees it: a small program that is PID 1 of every guest and serves requests over TCP, one
 * connection per request (`guest/PROTOCOL.md`). The host trusts nothing that it answers.
 */

export interface GuestEndpoint {
  address: string;
  port: number;
  /** What the kit must be shown, 64 hexadecimal digits. New for every run of a sandbox. */
  token: string;
}

/** Port that the kit listens on, inside the guest. */
export const GUEST_PORT = 7780;

/** What makes one guest different from another that was loaded from the same memory. */
export interface GuestIdentity {
  /** Wall-clock time to set, in milliseconds since the epoch. Taken by the driver at the moment of sending when absent. */
  hostname: string;
  mac: string;
  /** 32 hexadecimal digits, for /etc/machine-id. */
  machineId: string;
  /** The token from now on; the endpoint's token is the one until now. */
  nextToken: string;
}

export interface GuestHello {
  kitVersion: string;
  /** How long the guest has been up, in milliseconds. */
  uptimeMs: number;
}

export interface GuestExecRequest {
  /** Names the process inside the guest; asking again with the same id re-attaches instead of starting it twice. */
  execId: string;
  argv: readonly string[];
  cwd?: string | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  user?: string | undefined;
  stdin?: Uint8Array | undefined;
  /** Killed in the guest after this long, in milliseconds; 0 for no limit. */
  timeoutMs: number;
  /** Bytes of each of stdout and stderr that are kept; the rest is dropped and reported. */
  outputLimitBytes: number;
}

export interface GuestExecResult {
  /** Exit status, or null when a signal ended it. */
  exitCode: number | null;
  /** Name of the signal, such as SIGKILL, or null. */
  signal: string | null;
  timedOut: boolean;
  durationMs: number;
  stdout: Uint8Array;
  stderr: Uint8Array;
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
}

/** Called with output as it arrives, before the result. */
export type GuestOutput = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export interface GuestFileInfo {
  sizeBytes: number;
  mode: number;
}

export interface GuestDriver {
  /**
   * Waits until the kit answers, trying often with short attempts. Throws `GUEST_UNREACHABLE` when the signal's
   * deadline ends it, `GUEST_PROTOCOL` when something else answers.
   */
  waitReady(endpoint: GuestEndpoint, signal: AbortSignal): Promise<GuestHello>;

  /**
   * Sets clock, entropy (fresh bytes from the host, then a reseed), host name, machine id, MAC address and token, in one
   * request that the kit carries out before anything else. Retries like `waitReady`: it may be the first request after a load.
   */
  identify(endpoint: GuestEndpoint, identity: GuestIdentity, signal: AbortSignal): Promise<GuestHello>;

  /**
   * Grows the root file system to its block device's size. Does nothing when it has that size.
   *
   * @param leastBytes size that the device has, or will have in a moment: the guest's kernel takes a new size some time after
   * it was told
   */
  growRoot(endpoint: GuestEndpoint, leastBytes: number, signal: AbortSignal): Promise<void>;

  /**
   * Runs a program, or re-attaches to one that was started with the same `execId`. Throws `EXEC_NOT_FOUND`,
   * `EXEC_NOT_EXECUTABLE`, `EXEC_BAD_CWD`, `EXEC_UNKNOWN_USER`; `INVALID_REQUEST` for arguments that no guest takes;
   * `EXEC_INTERRUPTED` when the connection was cut or `signal` aborted (the process goes on in the guest).
   */
  exec(
    endpoint: GuestEndpoint,
    request: GuestExecRequest,
    signal: AbortSignal,
    output?: GuestOutput,
  ): Promise<GuestExecResult>;

  /** Sends a signal (by name) to a running exec. */
  kill(endpoint: GuestEndpoint, execId: string, signalName: string, signal: AbortSignal): Promise<void>;

  /**
   * A regular file of the guest, whole. Throws `PAYLOAD_TOO_LARGE` when it has more than `limitBytes`, `INVALID_REQUEST`
   * when it cannot be read.
   */
  readFile(
    endpoint: GuestEndpoint,
    path: string,
    limitBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /** Replaces a file of the guest as a whole. Throws `INVALID_REQUEST` when it cannot be written. */
  writeFile(
    endpoint: GuestEndpoint,
    path: string,
    content: Uint8Array,
    mode: number,
    signal: AbortSignal,
  ): Promise<void>;
}

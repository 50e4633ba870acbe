import type { Clock } from '../../clock.ts';
import type { DiskDriver } from '../../drivers/disk/types.ts';
import type { GuestDriver } from '../../drivers/guest/types.ts';
import type { NetworkDriver } from '../../drivers/network/types.ts';
import type { VmmDriver } from '../../drivers/vmm/types.ts';
import type { SandboxPaths } from '../../paths.ts';
import type { Step } from '../system/step.ts';
import type { LedgerKind, SandboxContext } from './context.ts';
import type { GuestSessions } from './guest-sessions.ts';

/** What the steps of all sandboxes of a host act through. */
export interface SandboxDrivers {
  disk: DiskDriver;
  vmm: VmmDriver;
  network: NetworkDriver;
  guest: GuestDriver;
  clock: Clock;
  /** Open requests to guests, to be cut when a sandbox is paused. */
  sessions: GuestSessions;
  /** Copies a file, by reflink where the file system can. */
  cloneFile(from: string, to: string, signal: AbortSignal): Promise<void>;
  /** Throws `DISK_FULL` when the host has too little free space for a sandbox more. */
  checkSpace(): Promise<void>;
  /**
   * Throws `NO_HOST_AVAILABLE` when the host has no room for a sandbox that has no virtual machine and is to have one again. That
   * of one that has room already is not asked for.
   */
  checkRoom(sandbox: Pick<SandboxContext, 'id' | 'options'>): void;
  /** Folders of a sandbox. */
  pathsOf(sandboxId: string): SandboxPaths;
  /** How long a guest may take to answer after it was started, in milliseconds. */
  guestTimeoutMs: number;
}

/** A step of a sandbox: what it reports becomes part of the context. */
export type SandboxStep<Output = Partial<SandboxContext>> = Step<SandboxContext, Output, LedgerKind>;

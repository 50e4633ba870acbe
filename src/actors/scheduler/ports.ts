import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import type { CreateSandbox, HostInfo } from '../host/protocol.ts';
import type { ForkReply, ForkRequest, SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';

/** A sandbox that is about to be made, as the records get it. */
export interface Claim {
  view: SandboxView;
  idempotencyKey: string | undefined;
  /** Of what the caller sent. */
  requestHash: string;
}

/** What the scheduler needs of directory, hosts and records. */
export interface SchedulerPorts {
  clock: Clock;
  log: Logger;
  /** Hosts that live. */
  hosts(): Promise<HostInfo[]>;
  /** What the host says of itself now. Throws `HOST_UNREACHABLE` when nobody answers. */
  hostInfo(hostId: string, context: CommandContext): Promise<HostInfo>;
  /** Asks a host to make the sandbox. Throws `HOST_UNREACHABLE` when nobody answers. */
  createOn(hostId: string, body: CreateSandbox, context: CommandContext): Promise<SandboxView>;
  /** Asks the host of the sandbox to make copies of it. Throws `HOST_UNREACHABLE` when nobody answers. */
  forkOn(teamId: string, sandboxId: string, body: ForkRequest, context: CommandContext): Promise<ForkReply>;
  /** Has the sandbox destroyed. Throws `HOST_UNREACHABLE` when nobody answers, and what the sandbox throws. */
  destroyOn(teamId: string, sandboxId: string, context: CommandContext): Promise<void>;
  /** The sandbox as the records have it, in whatever state. */
  find(teamId: string, sandboxId: string): Promise<SandboxView | undefined>;
  /** The host that is said to have the template of the team, else of the platform. */
  hostOfTemplate(teamId: string, name: string): Promise<string | undefined>;
  /** Throws `IDEMPOTENCY_KEY_REUSED`, `QUOTA_EXCEEDED`. */
  claim(record: Claim): Promise<{ created: boolean; view: SandboxView }>;
  /** All of them or none. Throws what `claim` throws. */
  claimAll(records: readonly Claim[]): Promise<{ created: boolean; views: SandboxView[] }>;
  unclaim(sandboxId: string): Promise<void>;
  /**
   * Ids of the sandboxes that the host keeps, by its own word: asked with a deadline of its own, not a caller's. All that was sent to
   * the host before has reached it. Throws `HOST_UNREACHABLE`.
   */
  keptBy(hostId: string): Promise<ReadonlySet<string>>;
}

import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { DormouseError, hasCode, messageOf } from '../../errors/index.ts';
import { newCommandId, newSandboxId, sandboxIdForKey } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import type { CreateSandbox, HostInfo } from '../host/protocol.ts';
import type { SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';
import { stableJson } from '../system/fingerprint.ts';
import { rankHosts } from './placement.ts';
import type { ScheduleSandbox } from './protocol.ts';

/** What the scheduler needs of directory, hosts and records. */
export interface SchedulerPorts {
  clock: Clock;
  log: Logger;
  /** Hosts that live. */
  hosts(): Promise<HostInfo[]>;
  /** Asks a host to make the sandbox. Throws `HOST_UNREACHABLE` when nobody answers. */
  createOn(hostId: string, body: CreateSandbox, context: CommandContext): Promise<SandboxView>;
  claim(record: {
    view: SandboxView;
    idempotencyKey: string | undefined;
    requestHash: string;
  }): Promise<{ created: boolean; view: SandboxView }>;
  unclaim(sandboxId: string): Promise<void>;
}

/**
 * Chooses a host and has the sandbox made there. It keeps nothing: what it decided is in the records, so that any member
 * of the queue group can answer for what another one did.
 */
export class Scheduler {
  readonly #ports: SchedulerPorts;

  constructor(ports: SchedulerPorts) {
    this.#ports = ports;
  }

  /**
   * Makes a sandbox and answers when it runs. With an idempotency key, the same key of a team is the same sandbox: a
   * request that comes again, also to another scheduler and after a crash, waits for it or returns it.
   *
   * @throws `NO_HOST_AVAILABLE`, `IDEMPOTENCY_KEY_REUSED`, and what the host throws
   */
  async create(request: ScheduleSandbox, context: CommandContext): Promise<SandboxView> {
    const { team_id, options, idempotency_key } = request;
    const sandboxId =
      idempotency_key === undefined ? newSandboxId() : sandboxIdForKey(team_id, idempotency_key);
    const commandId = idempotency_key === undefined ? newCommandId() : `create-${sandboxId}`;
    const hosts = rankHosts(await this.#ports.hosts(), options);
    if (hosts.length === 0)
      throw new DormouseError(
        'NO_HOST_AVAILABLE',
        'No host is there, or none is ready. `dormouse host list` shows them.',
      );
    const requestHash = createHash('sha256')
      .update(stableJson({ ...options, metadata: options.metadata ?? {} }))
      .digest('hex');
    const body: CreateSandbox = { sandbox_id: sandboxId, team_id, command_id: commandId, options };
    const claim = (hostId: string) =>
      this.#ports.claim({
        view: this.#planned(sandboxId, hostId, request),
        idempotencyKey: idempotency_key,
        requestHash,
      });

    // Another host is tried only when the one before certainly did nothing.
    let refused: unknown;
    for (const { host_id } of hosts) {
      // The record names the host before the host is asked: who repeats the request asks the same one.
      if (refused) await this.#ports.unclaim(sandboxId);
      const { created, view } = await claim(host_id);
      if (!created) return await this.#again(view, body, context);
      try {
        return await this.#ports.createOn(host_id, body, context);
      } catch (error) {
        refused = error;
        if (!mayGoElsewhere(error)) break;
        this.#ports.log.info(
          { host: host_id, sandbox: sandboxId, err: messageOf(error) },
          'the host cannot take the sandbox',
        );
      }
    }
    if (neverBegan(refused)) await this.#ports.unclaim(sandboxId);
    throw refused;
  }

  /** A create that was claimed before: it is there, on its way, or its host never heard of it. */
  async #again(view: SandboxView, body: CreateSandbox, context: CommandContext): Promise<SandboxView> {
    if (view.state === 'failed')
      throw new DormouseError(codeOf(view), view.last_error?.detail ?? 'The create failed.', {
        data: { sandbox_id: view.id },
      });
    if (view.state !== 'creating') return view;
    return await this.#ports.createOn(view.host_id, body, context);
  }

  #planned(id: string, hostId: string, { team_id, options }: ScheduleSandbox): SandboxView {
    const now = new Date(this.#ports.clock.nowMs()).toISOString();
    return {
      id,
      team_id,
      host_id: hostId,
      state: 'creating',
      step: null,
      created_at: now,
      updated_at: now,
      expires_at: null,
      seq: 0,
      execution: 1,
      last_error: null,
      allowed: [],
      ...options,
      metadata: options.metadata ?? {},
    };
  }
}

/** Errors after which another host may be asked: this one did nothing, and another may answer differently. */
function mayGoElsewhere(error: unknown): boolean {
  return (
    hasCode(error, 'HOST_UNREACHABLE') ||
    hasCode(error, 'NO_HOST_AVAILABLE') ||
    hasCode(error, 'HOST_DRAINING')
  );
}

/** Errors after which the host holds nothing and never published a transition: the claim can be taken back. */
function neverBegan(error: unknown): boolean {
  const before = [
    'HOST_UNREACHABLE',
    'NO_HOST_AVAILABLE',
    'HOST_DRAINING',
    'TEMPLATE_NOT_FOUND',
    'INVALID_SIZE',
    'DISK_FULL',
    'DATA_DIR_UNWRITABLE',
    'MAILBOX_FULL',
    'INVALID_REQUEST',
  ] as const;
  return before.some((code) => hasCode(error, code));
}

function codeOf(view: SandboxView) {
  return DormouseError.fromRecord({ code: view.last_error?.code ?? 'STEP_FAILED', detail: '' }).code;
}

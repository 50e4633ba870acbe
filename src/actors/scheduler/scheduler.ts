import { hasCode, messageOf } from '../../errors/index.ts';
import { newCommandId, newSandboxId, sandboxIdForKey } from '../../ids.ts';
import type { CreateSandbox } from '../host/protocol.ts';
import type { ForkReply, SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';
import {
  failureOf,
  plannedView,
  refusedByStopping,
  requestHashOf,
  takeBackUnbegun,
  whenUndone,
} from './claims.ts';
import { findPlaces } from './find-places.ts';
import { fork } from './fork.ts';
import { optionsOf } from './options.ts';
import type { Place } from './placement.ts';
import type { SchedulerPorts } from './ports.ts';
import type { ScheduleFork, ScheduleSandbox } from './protocol.ts';

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
   * @throws `TEMPLATE_NOT_FOUND`, `INVALID_SIZE`, `NO_HOST_AVAILABLE`, `QUOTA_EXCEEDED`, `IDEMPOTENCY_KEY_REUSED`, and what the
   * host throws
   */
  async create(request: ScheduleSandbox, context: CommandContext): Promise<SandboxView> {
    const { team_id: teamId, options, idempotency_key: key } = request;
    const sandboxId = key === undefined ? newSandboxId() : sandboxIdForKey(teamId, key);
    const commandId = key === undefined ? newCommandId() : `create-${sandboxId}`;
    // What was sent, not what becomes of it: a default may be another one when it comes again.
    const requestHash = requestHashOf({ ...options, metadata: options.metadata ?? {} });
    const claim = (place: Place): Promise<{ created: boolean; view: SandboxView }> =>
      this.#ports.claim({
        view: plannedView(sandboxId, { teamId, ...place }, this.#ports.clock.nowMs()),
        idempotencyKey: key,
        requestHash,
      });
    const createOn = (view: SandboxView): Promise<SandboxView> => {
      const body: CreateSandbox = {
        sandbox_id: sandboxId,
        team_id: teamId,
        command_id: commandId,
        options: optionsOf(view),
      };
      return this.#ports.createOn(view.host_id, body, context);
    };

    // Another host is tried only when the one before certainly did nothing.
    let refused: unknown;
    for (const place of await this.#places(request, sandboxId, context)) {
      // The record names the host before the host is asked: who repeats the request asks the same one.
      if (refused) await this.#ports.unclaim(sandboxId);
      const { created, view } = await claim(place);
      if (!created) return await this.#again(view, () => claim(placeOf(view)), createOn, context);
      try {
        return await createOn(view);
      } catch (error) {
        refused = error;
        if (key === undefined && hasCode(error, 'CANCELLED'))
          await takeBackUnbegun(view.host_id, [sandboxId], this.#ports);
        if (!mayGoElsewhere(error)) break;
        this.#ports.log.info(
          { host: place.hostId, sandbox: sandboxId, err: messageOf(error) },
          'the host cannot take the sandbox',
        );
      }
    }
    if (neverBegan(refused)) await this.#ports.unclaim(sandboxId);
    throw refused;
  }

  /** Makes copies of a sandbox. See `fork`. */
  fork(request: ScheduleFork, context: CommandContext): Promise<ForkReply> {
    return fork(request, context, this.#ports);
  }

  /**
   * Where it can be made. When it cannot be made anywhere, the sandbox of the key may be there all the same, made when that was
   * different: then its own host is the place.
   */
  async #places(request: ScheduleSandbox, sandboxId: string, context: CommandContext): Promise<Place[]> {
    try {
      return await findPlaces(request, context, this.#ports);
    } catch (error) {
      if (request.idempotency_key === undefined) throw error;
      const there = await this.#ports.find(request.team_id, sandboxId);
      if (!there) throw error;
      return [placeOf(there)];
    }
  }

  /** A create that was claimed before: it is there, on its way, or its host never heard of it. */
  async #again(
    known: SandboxView,
    claim: () => Promise<{ created: boolean; view: SandboxView }>,
    createOn: (view: SandboxView) => Promise<SandboxView>,
    context: CommandContext,
  ): Promise<SandboxView> {
    const look = async (): Promise<SandboxView> => (await claim()).view;
    // It has failed already; why is known when its undo is over.
    const view = (await whenUndone(known, look, context, this.#ports)) ?? known;
    if (view.state === 'failed') throw failureOf(view);
    // A stranded one may never have run; its host knows how the create was answered.
    if (view.state !== 'creating' && view.state !== 'stranded') return view;
    return await createOn(view);
  }
}

const placeOf = (view: SandboxView): Place => ({ hostId: view.host_id, options: optionsOf(view) });

/** Errors after which another host may be asked: this one did nothing, and another may answer differently. */
function mayGoElsewhere(error: unknown): boolean {
  return (
    hasCode(error, 'HOST_UNREACHABLE') || hasCode(error, 'NO_HOST_AVAILABLE') || refusedByStopping(error)
  );
}

/** Errors after which the host holds nothing and never published a transition: the claim can be taken back. */
function neverBegan(error: unknown): boolean {
  const before = [
    'HOST_UNREACHABLE',
    'NO_HOST_AVAILABLE',
    'TEMPLATE_NOT_FOUND',
    'TEMPLATE_NOT_READY',
    'INVALID_SIZE',
    'DISK_FULL',
    'DATA_DIR_UNWRITABLE',
    'MAILBOX_FULL',
    'INVALID_REQUEST',
  ] as const;
  return refusedByStopping(error) || before.some((code) => hasCode(error, code));
}

import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { isGone } from '../actors/sandbox/protocol.ts';
import type { Command, ReplyOf, RequestOf } from '../actors/system/command.ts';
import type { RequestOptions } from '../bus/types.ts';
import { DormouseError, hasCode } from '../errors/index.ts';
import { newCommandId } from '../ids.ts';
import { principalOf } from './plugins/auth.ts';
import { type OwnSandbox, sandboxNotFound, sandboxOf } from './plugins/rules.ts';
import type { EdgePorts } from './ports.ts';

/** What travels with a command that came over HTTP, and what it means when no actor answers. */

export const CommandHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description:
        'Chosen by the caller, unique for each command: sent again with the same key it is done once',
    }),
  ),
});

export const SandboxPath = Type.Object({ id: Type.String({ description: 'Id of the sandbox' }) });

/** The caller's `Idempotency-Key`. */
export function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  return (request.headers as Static<typeof CommandHeaders>)['idempotency-key'];
}

/**
 * The id of a command. One with an `Idempotency-Key` has the same id each time it is sent, through any edge; keys of
 * different teams, sandboxes and commands never meet.
 *
 * @param target what the command is for: a sandbox's id, or another name within the team
 */
export function commandIdOf(request: FastifyRequest, target: string, command: Command): string {
  const key = idempotencyKeyOf(request);
  if (key === undefined) return newCommandId();
  const { teamId } = principalOf(request);
  return `k-${createHash('sha256')
    .update(JSON.stringify([teamId, target, command.name, key]))
    .digest('hex')}`;
}

/**
 * What every request to the bus carries of the HTTP request. When its caller hangs up or the edge stops, nobody waits for the
 * reply any more. That cancels the command, unless the caller sent an `Idempotency-Key`: then it means to ask again, and
 * the command goes on.
 */
export function requestOptionsOf(request: FastifyRequest): RequestOptions {
  const { caller, headers } = request;
  const { traceparent } = headers;
  const left = idempotencyKeyOf(request) === undefined ? { signal: caller } : { abandon: caller };
  return { ...(caller && left), ...(typeof traceparent === 'string' && { traceparent }) };
}

/** Whether the command goes on although nobody waits for its reply here: its caller means to ask again. */
export function goesOnAlone(request: FastifyRequest): boolean {
  return request.caller?.aborted === true && idempotencyKeyOf(request) !== undefined;
}

/**
 * Sends a command to the actor of the sandbox that the path names, as its team.
 *
 * @throws what the actor throws; `SANDBOX_NOT_FOUND` when there is no such sandbox any more or never was, for this team;
 * `HOST_UNREACHABLE` when there is one but its host does not answer
 */
export async function sendCommand<C extends Command>(
  ports: EdgePorts,
  request: FastifyRequest,
  command: C,
  body: RequestOf<C>,
  options: RequestOptions = {},
): Promise<ReplyOf<C>> {
  return await sendToSandbox(ports, request, sandboxOf(request), command, body, options);
}

/** As `sendCommand`, for a sandbox that something else than the path names. */
export async function sendToSandbox<C extends Command>(
  ports: EdgePorts,
  request: FastifyRequest,
  sandbox: OwnSandbox,
  command: C,
  body: RequestOf<C>,
  options: RequestOptions = {},
): Promise<ReplyOf<C>> {
  return await foundOrUnreachable(ports, sandbox, () =>
    ports.bus.request(`${sandbox.subject}.${command.name}`, command, body, {
      commandId: commandIdOf(request, sandbox.id, command),
      ...requestOptionsOf(request),
      ...options,
    }),
  );
}

/**
 * Asks for something of a sandbox. When nobody answers, the records tell whether there is one.
 *
 * @throws what `ask` throws; `SANDBOX_NOT_FOUND` instead of `HOST_UNREACHABLE` when there is none, or none any more
 */
export async function foundOrUnreachable<T>(
  { records }: EdgePorts,
  { teamId, id }: OwnSandbox,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!hasCode(error, 'HOST_UNREACHABLE')) throw error;
    const record = await records.findSandbox(teamId, id);
    if (!record || isGone(record)) throw sandboxNotFound();
    throw new DormouseError(
      'HOST_UNREACHABLE',
      'The host that keeps this sandbox does not answer. Its disk and memory are kept there; try again.',
      { cause: error },
    );
  }
}

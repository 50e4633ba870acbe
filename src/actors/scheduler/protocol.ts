import { type Static, Type } from 'typebox';
import { SANDBOX_ID_PATTERN, TEAM_ID_PATTERN } from '../../ids.ts';
import { ForkReply, MAX_FORKS, SandboxOptions, SandboxView } from '../sandbox/protocol.ts';
import { defineCommand } from '../system/command.ts';

/** The commands of the scheduler, subject `dormouse.scheduler.<command>`, answered by any one member of the queue group. */

/** The caller's `Idempotency-Key`: the same key of a team is the same sandbox. */
const IdempotencyKey = Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' });

export const ScheduleSandbox = Type.Object(
  {
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    /** What is left out is the template's: vCPUs, memory, disk; else the default of the schema. */
    options: Type.Partial(SandboxOptions, { additionalProperties: false }),
    idempotency_key: Type.Optional(IdempotencyKey),
  },
  { additionalProperties: false },
);
export type ScheduleSandbox = Static<typeof ScheduleSandbox>;

export const ScheduleFork = Type.Object(
  {
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
    count: Type.Integer({ minimum: 1, maximum: MAX_FORKS }),
    /** The same key of a team is the same forks. */
    idempotency_key: Type.Optional(IdempotencyKey),
  },
  { additionalProperties: false },
);
export type ScheduleFork = Static<typeof ScheduleFork>;

export const schedulerCommands = {
  fork: defineCommand({
    name: 'fork',
    summary:
      'Reserves what the forks of a sandbox take of the quota, has its host make them, and answers when they run.',
    request: ScheduleFork,
    reply: ForkReply,
    defaultTimeoutMs: 185_000,
  }),
  create: defineCommand({
    name: 'create',
    summary: 'Chooses a host, makes the sandbox there and answers when it runs.',
    request: ScheduleSandbox,
    reply: SandboxView,
    defaultTimeoutMs: 125_000,
  }),
} as const;

import { type Static, Type } from 'typebox';
import { TEAM_ID_PATTERN } from '../../ids.ts';
import { SandboxOptions, SandboxView } from '../sandbox/protocol.ts';
import { defineCommand } from '../system/command.ts';

/** The command of the scheduler, subject `dormouse.scheduler.create`, answered by any one member of the queue group. */

export const ScheduleSandbox = Type.Object(
  {
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    options: SandboxOptions,
    /** The caller's `Idempotency-Key`: the same key of a team is the same sandbox. */
    idempotency_key: Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' })),
  },
  { additionalProperties: false },
);
export type ScheduleSandbox = Static<typeof ScheduleSandbox>;

export const schedulerCommands = {
  create: defineCommand({
    name: 'create',
    summary: 'Chooses a host, makes the sandbox there and answers when it runs.',
    request: ScheduleSandbox,
    reply: SandboxView,
    defaultTimeoutMs: 125_000,
  }),
} as const;

import { type Static, Type } from 'typebox';
import { COMMAND_ID_PATTERN, HOST_ID_PATTERN, SANDBOX_ID_PATTERN, TEAM_ID_PATTERN } from '../../ids.ts';
import { SandboxOptions, SandboxState, SandboxView } from '../sandbox/protocol.ts';
import { defineCommand } from '../system/command.ts';

/** The commands of a host actor, subject `dormouse.host.<host>.<command>`, and what a host tells of itself. */

const closed = { additionalProperties: false } as const;
const None = Type.Object({}, closed);

/** What the scheduler asks a host to make. Complete: every default is filled in. */
export const CreateSandbox = Type.Object(
  {
    sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    command_id: Type.String({ pattern: COMMAND_ID_PATTERN }),
    options: SandboxOptions,
  },
  closed,
);
export type CreateSandbox = Static<typeof CreateSandbox>;

export const TemplateInfo = Type.Object(
  {
    name: Type.String(),
    /** Size of the image's file system in MiB: no disk can be smaller. */
    size_mb: Type.Integer(),
    /** What the image takes on the host, in bytes. */
    allocated_bytes: Type.Integer(),
    /** Shapes of which a booted state is kept, such as `1x512x20480` (vcpus, memory, disk). */
    warm: Type.Array(Type.String()),
  },
  closed,
);
export type TemplateInfo = Static<typeof TemplateInfo>;

/** A host's entry in the directory `dormouse_hosts`. Written again every few seconds; it lives as long as its TTL. */
export const HostInfo = Type.Object(
  {
    host_id: Type.String({ pattern: HOST_ID_PATTERN }),
    version: Type.String(),
    state: Type.Enum(['starting', 'ready', 'draining', 'stopped']),
    started_at: Type.String({ format: 'date-time' }),
    at: Type.String({ format: 'date-time' }),
    accelerator: Type.Enum(['kvm', 'tcg']),
    disk_driver: Type.String(),
    vmm_driver: Type.String(),
    capacity: Type.Object(
      { vcpus: Type.Integer(), memory_mb: Type.Integer(), disk_free_mb: Type.Integer() },
      closed,
    ),
    /** What the sandboxes that run or are on their way take. */
    used: Type.Object(
      { vcpus: Type.Integer(), memory_mb: Type.Integer(), sandboxes: Type.Integer() },
      closed,
    ),
    templates: Type.Array(TemplateInfo),
  },
  closed,
);
export type HostInfo = Static<typeof HostInfo>;

export const hostCommands = {
  create: defineCommand({
    name: 'create',
    summary: 'Makes a sandbox on this host and answers when it runs.',
    request: CreateSandbox,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
  info: defineCommand({
    name: 'info',
    summary: 'Says what the host is, has and uses.',
    request: None,
    reply: HostInfo,
    defaultTimeoutMs: 5_000,
  }),
  sandboxes: defineCommand({
    name: 'sandboxes',
    summary: 'Lists the sandboxes that this host keeps.',
    request: None,
    reply: Type.Object(
      {
        sandboxes: Type.Array(
          Type.Object({ id: Type.String(), team_id: Type.String(), state: SandboxState }, closed),
        ),
      },
      closed,
    ),
    defaultTimeoutMs: 5_000,
  }),
  drain: defineCommand({
    name: 'drain',
    summary: 'Takes no new sandboxes from now on; those that are here stay.',
    request: None,
    reply: HostInfo,
    defaultTimeoutMs: 5_000,
  }),
  leaks: defineCommand({
    name: 'leaks',
    summary: 'Compares what the host holds with what its sandboxes say they hold.',
    request: None,
    reply: Type.Object(
      {
        leaks: Type.Array(
          Type.Object({ kind: Type.String(), name: Type.String(), detail: Type.String() }, closed),
        ),
      },
      closed,
    ),
    defaultTimeoutMs: 30_000,
  }),
} as const;
export type HostCommandName = keyof typeof hostCommands;

import { type Static, Type } from 'typebox';
import { SANDBOX_ID_PATTERN, TEAM_ID_PATTERN, TEMPLATE_NAME_PATTERN } from '../../ids.ts';
import { Nullable } from '../../nullable.ts';
import { TemplateDetails } from '../host/template-protocol.ts';
import { defineCommand } from '../system/command.ts';
import { Inspection, Moment } from '../system/inspection.ts';

/** The commands of a sandbox actor, subject `dormouse.sandbox.<team>.<id>.<command>`, and the data they speak of. */

const closed = { additionalProperties: false } as const;

/** Top-level states of the machine, as callers see them. What is inside one is in `step`. */
export const SANDBOX_STATES = [
  'creating',
  'running',
  'capturing',
  'pausing',
  'paused',
  'resuming',
  'restarting',
  'crashed',
  'undoing',
  'failed',
  'stranded',
  'destroying',
  'destroyed',
] as const;
export const SandboxState = Type.Enum(SANDBOX_STATES, { description: 'State of the sandbox' });
export type SandboxState = Static<typeof SandboxState>;

/** States of sandboxes of which nothing is left but their record. */
export const GONE: readonly string[] = ['destroyed', 'failed'] satisfies SandboxState[];

/** True when nothing of the sandbox is left but its record. */
export function isGone({ state }: { state: string }): boolean {
  return GONE.includes(state);
}

export const Metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
  Type.String({ maxLength: 512 }),
  {
    ...closed,
    description: 'Labels of your own; `GET /v1/sandboxes?metadata.KEY=VALUE` finds them again',
    maxProperties: 32,
  },
);

export const ErrorSummary = Type.Object({ code: Type.String(), detail: Type.String() }, closed);

/** What a caller wants; defaults are filled in by the edge from this schema. */
export const SandboxOptions = Type.Object(
  {
    template: Type.String({
      pattern: TEMPLATE_NAME_PATTERN,
      default: 'minimal',
      description: 'Name of the template',
    }),
    vcpus: Type.Integer({ minimum: 1, maximum: 64, default: 1, description: 'Virtual CPUs' }),
    memory_mb: Type.Integer({
      minimum: 96,
      maximum: 1_048_576,
      default: 512,
      description: 'Guest memory in MiB',
    }),
    disk_size_mb: Type.Integer({
      minimum: 64,
      maximum: 16_777_216,
      default: 20480,
      description: 'Size of the root disk that the guest sees, in MiB',
    }),
    timeout_s: Type.Integer({
      minimum: 0,
      maximum: 31_536_000,
      default: 0,
      description: 'Seconds without activity after which `on_timeout` happens; 0 for never',
    }),
    on_timeout: Type.Enum(['pause', 'destroy'], {
      default: 'pause',
      description: 'What happens when the time is over',
    }),
    auto_resume: Type.Boolean({
      default: false,
      description: 'Whether an exec on the paused sandbox resumes it first',
    }),
    metadata: Type.Optional(Metadata),
  },
  closed,
);
export type SandboxOptions = Static<typeof SandboxOptions>;

/** A sandbox as callers see it. */
export const SandboxView = Type.Object(
  {
    id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    host_id: Type.String(),
    template: Type.String(),
    state: SandboxState,
    /** The step inside the state, such as `snapshotting`; null at rest. */
    step: Nullable(Type.String()),
    vcpus: Type.Integer(),
    memory_mb: Type.Integer(),
    disk_size_mb: Type.Integer(),
    timeout_s: Type.Integer(),
    on_timeout: Type.Enum(['pause', 'destroy']),
    auto_resume: Type.Boolean(),
    metadata: Metadata,
    created_at: Type.String({ format: 'date-time' }),
    updated_at: Type.String({ format: 'date-time', description: 'Time of the last transition' }),
    expires_at: Nullable(Type.String({ format: 'date-time' })),
    /** Number of the last transition. */
    seq: Type.Integer(),
    /** Counts the runs: 1 after create, one more after each resume or restart. */
    execution: Type.Integer(),
    /** Why the last operation failed, until the next one succeeds. */
    last_error: Nullable(ErrorSummary),
    /** Commands that this state takes now. */
    allowed: Type.Array(Type.String()),
  },
  closed,
);
export type SandboxView = Static<typeof SandboxView>;

const None = Type.Object({}, closed);

/** Most forks that one command makes. */
export const MAX_FORKS = 20;

export const ResizeRequest = Type.Object(
  {
    disk_size_mb: Type.Integer({
      minimum: 64,
      maximum: 16_777_216,
      description: 'New size of the root disk that the guest sees, in MiB; not smaller than now',
    }),
  },
  closed,
);
export type ResizeRequest = Static<typeof ResizeRequest>;

export const SnapshotRequest = Type.Object(
  {
    name: Type.String({ pattern: TEMPLATE_NAME_PATTERN, description: 'Name of the template to be' }),
    memory: Type.Boolean({
      default: true,
      description:
        'With the memory: what is made from it wakes up where the sandbox was. Without: a disk of its own, which is booted',
    }),
    overwrite: Type.Boolean({ default: false, description: 'Whether one of this name is replaced' }),
  },
  closed,
);
export type SnapshotRequest = Static<typeof SnapshotRequest>;

/** Ids are given by the caller, so that a fork that is sent again makes nothing twice. */
export const ForkRequest = Type.Object(
  {
    ids: Type.Array(Type.String({ pattern: SANDBOX_ID_PATTERN }), {
      minItems: 1,
      maxItems: MAX_FORKS,
      uniqueItems: true,
    }),
  },
  closed,
);
export type ForkRequest = Static<typeof ForkRequest>;

export const ForkReply = Type.Object({ sandboxes: Type.Array(SandboxView) }, closed);
export type ForkReply = Static<typeof ForkReply>;

/** How the bytes of a field are written: text as it is, anything else as base64. */
export const Encoding = Type.Enum(['utf8', 'base64']);

/** Largest `stdin` and largest kept output of each stream, in bytes. The rest of an output is dropped and reported. */
export const MAX_STDIN_BYTES = 2 * 1024 * 1024;
export const MAX_OUTPUT_BYTES = 1024 * 1024;
/** Longest time that an exec may ask for, in seconds. */
const MAX_EXEC_TIMEOUT_S = 3600;

export const ExecRequest = Type.Object(
  {
    cmd: Type.Optional(
      Type.String({ minLength: 1, maxLength: 131_072, description: 'Shell command, run by /bin/sh -c' }),
    ),
    argv: Type.Optional(
      Type.Array(Type.String({ maxLength: 131_072 }), {
        minItems: 1,
        maxItems: 4096,
        description: 'Program and arguments, without a shell',
      }),
    ),
    cwd: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
    env: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }),
        Type.String({ maxLength: 131_072 }),
        { ...closed, maxProperties: 256 },
      ),
    ),
    user: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$',
        description: 'User name or number in the guest; root when absent',
      }),
    ),
    stdin: Type.Optional(Type.String({ maxLength: MAX_STDIN_BYTES * 2 })),
    stdin_encoding: Type.Optional(Encoding),
    timeout_s: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: MAX_EXEC_TIMEOUT_S,
        default: 60,
        description: 'Killed in the guest after this many seconds',
      }),
    ),
  },
  { ...closed, description: 'Exactly one of `cmd` and `argv`' },
);
export type ExecRequest = Static<typeof ExecRequest>;

export const ExecReply = Type.Object(
  {
    exit_code: Nullable(Type.Integer({ description: 'Exit status; null when a signal ended the program' })),
    signal: Nullable(Type.String()),
    timed_out: Type.Boolean(),
    stdout: Type.String(),
    stdout_encoding: Encoding,
    stdout_truncated: Type.Boolean(),
    stderr: Type.String(),
    stderr_encoding: Encoding,
    stderr_truncated: Type.Boolean(),
    duration_ms: Type.Number(),
  },
  closed,
);
export type ExecReply = Static<typeof ExecReply>;

export const sandboxCommands = {
  get: defineCommand({
    name: 'get',
    summary: 'Says what the sandbox is now.',
    request: None,
    reply: SandboxView,
    defaultTimeoutMs: 5_000,
  }),
  inspect: defineCommand({
    name: 'inspect',
    summary: 'Says what the sandbox is in the middle of, what it holds, and what led there.',
    request: None,
    reply: Inspection,
    defaultTimeoutMs: 5_000,
  }),
  exec: defineCommand({
    name: 'exec',
    summary: 'Runs a program in the guest and returns its output.',
    request: ExecRequest,
    reply: ExecReply,
    defaultTimeoutMs: 65_000,
  }),
  pause: defineCommand({
    name: 'pause',
    summary: 'Saves memory and disk and stops the virtual machine.',
    request: None,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
  resume: defineCommand({
    name: 'resume',
    summary: 'Loads a paused sandbox; its programs go on where they were.',
    request: None,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
  restart: defineCommand({
    name: 'restart',
    summary: 'Boots a running, paused or crashed sandbox anew on the same disk. What was in memory is lost.',
    request: None,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
  ping: defineCommand({
    name: 'ping',
    summary: 'Extends the time until `on_timeout` happens.',
    request: Type.Object(
      {
        timeout_s: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: 31_536_000,
            description: 'New timeout in seconds; 0 for never',
          }),
        ),
      },
      closed,
    ),
    reply: SandboxView,
    defaultTimeoutMs: 5_000,
  }),
  resize: defineCommand({
    name: 'resize',
    summary: 'Makes the disk of a paused sandbox larger.',
    request: ResizeRequest,
    reply: SandboxView,
    defaultTimeoutMs: 5_000,
  }),
  snapshot: defineCommand({
    name: 'snapshot',
    summary: 'Makes a template from a running or paused sandbox, which goes on as it was.',
    request: SnapshotRequest,
    reply: TemplateDetails,
    defaultTimeoutMs: 600_000,
  }),
  fork: defineCommand({
    name: 'fork',
    summary: 'Makes copies of a running or paused sandbox on its host and answers when they run.',
    request: ForkRequest,
    reply: ForkReply,
    defaultTimeoutMs: 180_000,
  }),
  destroy: defineCommand({
    name: 'destroy',
    summary: 'Removes the sandbox with all that it holds.',
    request: None,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
} as const;
export type SandboxCommandName = keyof typeof sandboxCommands;

/** One transition, as it is journaled in the outbox, published on JetStream and stored by the projector. */
export const SandboxTransition = Type.Object(
  {
    v: Type.Literal(1),
    sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    host_id: Type.String(),
    /** Counts the transitions of this sandbox upwards from 1. There is a gap after a power cut, and where events were dropped. */
    seq: Type.Integer({ minimum: 1 }),
    execution: Type.Integer(),
    at: Type.String({ format: 'date-time' }),
    /** Full state values, such as `pausing.snapshotting`. */
    from: Nullable(Type.String()),
    to: Type.String(),
    /** What caused it: a command's name, `step.done`, `step.failed`, `timeout`, an event's type, `power cut`, `lost`. */
    cause: Type.String(),
    command_id: Nullable(Type.String()),
    /** The step that ended with this transition, and how long it took. */
    step: Nullable(Type.String()),
    step_duration_ms: Nullable(Type.Number()),
    error: Nullable(
      Type.Object({
        code: Type.String(),
        detail: Type.String(),
        causes: Type.Optional(Type.Array(Type.String())),
      }),
    ),
    /** The sandbox after the transition: enough for a read model without asking anybody. */
    sandbox: SandboxView,
    /** What it was in the middle of and held then. Absent from older versions. */
    moment: Type.Optional(Moment),
  },
  closed,
);
export type SandboxTransition = Static<typeof SandboxTransition>;

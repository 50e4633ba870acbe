import { type Static, Type } from 'typebox';
import { DormouseError } from '../../errors/index.ts';
import { SANDBOX_ID_PATTERN, TEAM_ID_PATTERN, TEMPLATE_NAME_PATTERN } from '../../ids.ts';
import { Nullable } from '../../nullable.ts';

/** What callers say and are told of templates. The host's commands and the edge's routes share these schemas. */

const closed = { additionalProperties: false } as const;

/** `base`: made from a file system. `snapshot`: made from a sandbox by `snapshot`. */
export const TemplateKind = Type.Enum(['base', 'snapshot'], {
  description: '`base`: made from a file system; `snapshot`: made from a sandbox',
});
export type TemplateKind = Static<typeof TemplateKind>;

export const TemplateName = Type.String({
  pattern: TEMPLATE_NAME_PATTERN,
  description: 'Name of the template',
});

/** Variables of the environment that programs in the sandbox get. What may be said of them together is in `checkEnv`. */
export const TemplateEnv = Type.Record(
  Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,127}$' }),
  Type.String({ maxLength: 4096 }),
  { ...closed, maxProperties: 64 },
);

/** All variables together that are said of a template, names and values, in bytes. */
export const ENV_BYTES_MAX = 4096;

/** @throws `INVALID_REQUEST` when the variables have more than 4 KiB together, which no schema can say */
export function checkEnv(env: Readonly<Record<string, string>> = {}): void {
  const bytes = Object.entries(env).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
  if (bytes > ENV_BYTES_MAX)
    throw new DormouseError(
      'INVALID_REQUEST',
      `The variables of a template may have ${ENV_BYTES_MAX} bytes together; these have ${bytes}.`,
      { data: { field: 'env' } },
    );
}

/** What can be said of a template that is about to be built. */
export const TemplateSpec = Type.Object(
  {
    name: TemplateName,
    user: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$',
        description: 'Who runs programs when an exec names nobody',
      }),
    ),
    cwd: Type.Optional(
      Type.String({
        pattern: '^/',
        maxLength: 4096,
        description: 'Where programs run when an exec names no folder',
      }),
    ),
    env: Type.Optional(TemplateEnv),
    start_cmd: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description:
          'Shell command that is started once, before the warm state is kept, and runs on in every sandbox',
      }),
    ),
    ready_cmd: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description: 'Shell command that is tried until it exits with 0: then the template is ready',
      }),
    ),
    vcpus: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'vCPUs of a sandbox that names no number' }),
    ),
    memory_mb: Type.Optional(
      Type.Integer({
        minimum: 96,
        maximum: 1_048_576,
        description: 'Memory of a sandbox that names no size, in MiB',
      }),
    ),
    disk_size_mb: Type.Optional(
      Type.Integer({
        minimum: 64,
        maximum: 16_777_216,
        description: 'Disk of a sandbox that names no size, in MiB',
      }),
    ),
  },
  closed,
);
export type TemplateSpec = Static<typeof TemplateSpec>;

/** A template in the directory of hosts: enough to choose a host and to fill in what a create leaves out. */
export const TemplateInfo = Type.Object(
  {
    id: Type.String(),
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    name: Type.String(),
    kind: TemplateKind,
    /** Whether sandboxes wake up in a saved memory. Then vCPUs and memory are its own, and no others are possible. */
    memory: Type.Boolean(),
    /** Size of the image's file system in MiB: no disk can be smaller. */
    size_mb: Type.Integer(),
    /** What everything of the template takes on the host, in bytes. */
    allocated_bytes: Type.Integer(),
    vcpus: Type.Integer(),
    memory_mb: Type.Integer(),
    disk_size_mb: Type.Integer(),
    created_at: Type.String({ format: 'date-time' }),
    /** Shapes of which a booted state is kept, such as `1x512x20480` (vcpus, memory, disk). */
    warm: Type.Array(Type.String()),
  },
  closed,
);
export type TemplateInfo = Static<typeof TemplateInfo>;

/** All of a template. */
export const TemplateDetails = Type.Object(
  {
    ...TemplateInfo.properties,
    host_id: Type.String(),
    user: Nullable(Type.String()),
    cwd: Nullable(Type.String()),
    env: TemplateEnv,
    start_cmd: Nullable(Type.String()),
    ready_cmd: Nullable(Type.String()),
    /** The sandbox that it was made from. */
    source_sandbox_id: Nullable(Type.String({ pattern: SANDBOX_ID_PATTERN })),
  },
  closed,
);
export type TemplateDetails = Static<typeof TemplateDetails>;

/** Formats of an upload; `auto` looks at its content. */
export const TemplateFormat = Type.Enum(['auto', 'tar', 'oci', 'ext4'], {
  description:
    '`tar`: a root file system, plain or compressed (`docker export`); `oci`: `docker save` or an OCI layout, as a tar; `ext4`: a file system image; `auto`: found out',
});
export type TemplateFormat = Static<typeof TemplateFormat>;

/** Largest piece of an upload, in bytes; as base64 it fits into a message of NATS (1 MiB). */
export const UPLOAD_PIECE_BYTES = 384 * 1024;
const UploadId = Type.String({ pattern: '^u-[a-z2-7]{20}$' });
/** Which of several tries to send the same upload this is, at random: one that is sent again may have another content. */
const UploadAttempt = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });

export const UploadPiece = Type.Object(
  {
    upload_id: UploadId,
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    attempt: UploadAttempt,
    /** Bytes of the upload before this piece. A piece that is there already changes nothing. */
    offset: Type.Integer({ minimum: 0 }),
    /** Base64. */
    data: Type.String({ maxLength: Math.ceil(UPLOAD_PIECE_BYTES / 3) * 4 }),
  },
  closed,
);
export type UploadPiece = Static<typeof UploadPiece>;
export const UploadReply = Type.Object({ bytes: Type.Integer() }, closed);

export const DiscardUpload = Type.Object(
  { upload_id: UploadId, team_id: Type.String({ pattern: TEAM_ID_PATTERN }), attempt: UploadAttempt },
  closed,
);
export type DiscardUpload = Static<typeof DiscardUpload>;

/** Builds a template from an upload, or from the disk of a sandbox of the same team and host. */
export const BuildTemplate = Type.Object(
  {
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    spec: TemplateSpec,
    source: Type.Union([
      Type.Object({ upload_id: UploadId, format: TemplateFormat }, closed),
      Type.Object(
        {
          sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
          team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
        },
        closed,
      ),
    ]),
    overwrite: Type.Boolean(),
  },
  closed,
);
export type BuildTemplate = Static<typeof BuildTemplate>;

export const TemplateRef = Type.Object(
  { team_id: Type.String({ pattern: TEAM_ID_PATTERN }), name: TemplateName },
  closed,
);
export type TemplateRef = Static<typeof TemplateRef>;

/** A line of a build's progress, as it is published on `dormouse.io.<command id>.stdout`, one JSON object in each line. */
export const BuildProgress = Type.Object(
  {
    /** What is being done: `checking`, `unpacking`, `making the file system`, `booting`, `starting`, `saving`. */
    stage: Type.String(),
    /** Of the stage; null where there is nothing to count. */
    done_bytes: Nullable(Type.Integer()),
    total_bytes: Nullable(Type.Integer()),
    /** For people: what was left out, what a command printed. */
    message: Type.Optional(Type.String()),
  },
  closed,
);
export type BuildProgress = Static<typeof BuildProgress>;

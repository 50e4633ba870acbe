import { type Static, type TSchema, Type } from 'typebox';
import { TemplateEnv, TemplateKind } from '../actors/host/template-protocol.ts';
import { ExecReply, SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';
import { Inspection } from '../actors/system/inspection.ts';
import { MachineDrawing } from '../machines/drawing.ts';
import { Nullable } from '../nullable.ts';
import { ApiKey, AuditEntry, Team } from './admin-schemas.ts';
import { Problem } from './problem.ts';

const closed = { additionalProperties: false } as const;

/** A template as callers see it. */
export const Template = Type.Object(
  {
    name: Type.String(),
    owner: Type.Enum(['platform', 'team'], {
      description: 'Whose it is: everybody sees those of the platform',
    }),
    kind: TemplateKind,
    memory: Type.Boolean({
      description:
        'Whether sandboxes wake up in a saved memory. Then vCPUs and memory are those of the template, and no others are possible',
    }),
    vcpus: Type.Integer({ description: 'vCPUs of a sandbox that names no number' }),
    memory_mb: Type.Integer({ description: 'Memory of a sandbox that names no size, in MiB' }),
    disk_size_mb: Type.Integer({ description: 'Disk of a sandbox that names no size, in MiB' }),
    size_mb: Type.Integer({ description: 'Size of the file system in MiB: no disk can be smaller' }),
    allocated_bytes: Type.Integer({ description: 'What it takes on its host' }),
    user: Nullable(Type.String({ description: 'Who runs programs when an exec names nobody' })),
    cwd: Nullable(Type.String({ description: 'Where programs run when an exec names no folder' })),
    env: TemplateEnv,
    start_cmd: Nullable(Type.String({ description: 'Runs already in every sandbox' })),
    ready_cmd: Nullable(Type.String({ description: 'Exited with 0 before the template was ready' })),
    source_sandbox_id: Nullable(Type.String({ description: 'The sandbox that it was made from' })),
    created_at: Type.String({ format: 'date-time' }),
  },
  closed,
);

/** A template as those see it who look after the installation. */
export const AdminTemplate = Type.Object(
  { ...Template.properties, team_id: Type.String(), host_id: Type.String() },
  closed,
);

/**
 * The schemas that have a name in the OpenAPI document. Where they can be, they are the actors' own, so a field that is
 * added to a protocol is in the document and in the routes' types at once.
 */
export const named = {
  Sandbox: SandboxView,
  Transition: SandboxTransition,
  ExecReply,
  Inspection,
  MachineDrawing,
  Template,
  AdminTemplate,
  Team,
  ApiKey,
  AuditEntry,
  Problem,
} as const satisfies Record<string, TSchema>;

/** A reference to a named schema, with its type. */
export function ref<Name extends keyof typeof named>(name: Name) {
  return Type.Unsafe<Static<(typeof named)[Name]>>({ $ref: `${name}#` });
}

import { Type } from 'typebox';
import { Nullable } from '../nullable.ts';

/** Teams, keys and the audit log as those see them who look after the installation. */

const closed = { additionalProperties: false } as const;

/** Largest limit of a quota: more than any installation has, and what a column of the database takes. */
const LIMIT_MAX = 2_147_483_647;

const Limit = (what: string) =>
  Nullable(Type.Integer({ minimum: 0, maximum: LIMIT_MAX, description: `${what}; null for no limit` }));

/** What a team may have at the same time. Paused sandboxes count as well: each may be resumed at any moment. */
export const Quota = Type.Object(
  {
    sandboxes: Limit('Sandboxes, running or not'),
    vcpus: Limit('vCPUs of all its sandboxes'),
    memory_mb: Limit('Memory of all its sandboxes, in MiB'),
    disk_mb: Limit('Disks of all its sandboxes, in MiB'),
  },
  closed,
);

export const Usage = Type.Object(
  {
    sandboxes: Type.Integer(),
    vcpus: Type.Integer(),
    memory_mb: Type.Integer(),
    disk_mb: Type.Integer(),
  },
  { ...closed, description: 'What the team has now, counted as its quota counts' },
);

export const Team = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    quota: Quota,
    usage: Usage,
    created_at: Type.String({ format: 'date-time' }),
  },
  closed,
);

export const Scopes = Type.Array(Type.Enum(['read', 'write', 'admin']), {
  minItems: 1,
  maxItems: 3,
  uniqueItems: true,
  description:
    '`read` for GET, `write` for what changes something of the team, `admin` for the routes under /v1/admin and what belongs to the platform. None includes another',
});

export const ApiKey = Type.Object(
  {
    id: Type.String(),
    team_id: Type.String(),
    name: Type.String(),
    prefix: Type.String({ description: 'First characters of the key' }),
    scopes: Type.Array(Type.Enum(['read', 'write', 'admin'])),
    created_at: Type.String({ format: 'date-time' }),
    last_used_at: Nullable(Type.String({ format: 'date-time', description: 'True to about a minute' })),
    expires_at: Nullable(Type.String({ format: 'date-time' })),
    revoked_at: Nullable(Type.String({ format: 'date-time' })),
  },
  { ...closed, description: 'A key without its secret' },
);

export const AuditEntry = Type.Object(
  {
    id: Type.String({ description: 'Of the request' }),
    at: Type.String({ format: 'date-time' }),
    team_id: Nullable(Type.String({ description: 'Null when the key was not known' })),
    key_id: Nullable(Type.String()),
    address: Type.String({ description: 'Where the request came from' }),
    action: Type.String({ description: 'The `operationId` of the route, such as `destroySandbox`' }),
    target: Nullable(Type.String({ description: 'What the path names, such as the id of a sandbox' })),
    status: Type.Integer(),
    code: Nullable(Type.String({ description: 'Of the error that was answered' })),
  },
  { ...closed, description: 'A request that changes something, after it was answered' },
);

import { Type } from 'typebox';
import { newApiKey, storedKey } from '../../../api-key.ts';
import { DormouseError } from '../../../errors/index.ts';
import { ApiKey, Scopes } from '../../admin-schemas.ts';
import { BODY, KEYED } from '../../error-sets.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { ref } from '../../schemas.ts';
import type { Forget } from './forget.ts';
import { KeyPath, keyIdOf, TeamPath, teamIdOf, teamNotFound } from './paths.ts';
import { presentKey } from './present.ts';

const tags = ['Admin'];
const closed = { additionalProperties: false } as const;

/** Longest life of a key that has an end, in seconds: ten years. */
const EXPIRES_IN_S_MAX = 315_360_000;

const KeyBody = Type.Object(
  {
    name: Type.String({
      pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]{1,128}$',
      description: 'For people: whose it is, or what it is for',
    }),
    scopes: Scopes,
    expires_at: Type.Optional(
      Type.String({
        pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,3})?Z$',
        description: 'When it stops to work, in UTC, such as 2030-01-31T12:00:00Z',
      }),
    ),
    expires_in_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: EXPIRES_IN_S_MAX,
        description: 'The same, in seconds from now. A key without either works until it is revoked',
      }),
    ),
  },
  closed,
);

const NewKey = Type.Object(
  {
    ...ApiKey.properties,
    key: Type.String({ description: 'The key itself. It is shown here and never again' }),
  },
  closed,
);

/** The API keys of a team. */
export function addKeyRoutes(app: EdgeApp, { records, clock }: EdgePorts, forget: Forget): void {
  app.get(
    '/v1/admin/teams/:team/keys',
    {
      schema: {
        operationId: 'listKeys',
        summary:
          'Lists the keys of a team, newest first, without their secrets; revoked and expired ones, too.',
        tags,
        params: TeamPath,
        response: { 200: Type.Object({ keys: Type.Array(ref('ApiKey')) }, closed) },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, 'TEAM_NOT_FOUND'] } },
    },
    async (request) => {
      const teamId = teamIdOf(request.params);
      if (!(await records.findTeam(teamId))) throw teamNotFound();
      return { keys: (await records.listKeys(teamId)).map(presentKey) };
    },
  );

  app.post(
    '/v1/admin/teams/:team/keys',
    {
      schema: {
        operationId: 'createKey',
        summary: 'Makes a key for a team. The answer shows it once.',
        tags,
        params: TeamPath,
        body: KeyBody,
        response: { 201: NewKey },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, ...BODY, 'TEAM_NOT_FOUND'] } },
    },
    async (request, reply) => {
      const teamId = teamIdOf(request.params);
      const { name, scopes } = request.body;
      const expiresAt = expiryOf(request.body, clock.nowMs());
      const key = newApiKey();
      const made = await records.createKey({ teamId, ...storedKey(key), name, scopes, expiresAt });
      return reply.code(201).send({ ...presentKey(made), key });
    },
  );

  app.delete(
    '/v1/admin/teams/:team/keys/:key',
    {
      schema: {
        operationId: 'revokeKey',
        summary: 'Revokes a key.',
        description:
          'It works here no longer from now on, and its streams of events here end. Other edges remember keys for up to ' +
          '30 seconds, and streams that are open there last up to ten minutes. What was begun before is done. ' +
          'One that is revoked already stays as it is.',
        tags,
        params: KeyPath,
        response: { 200: ref('ApiKey') },
      },
      config: {
        rules: {
          scope: 'admin',
          owner: 'admin',
          errors: [...KEYED, ...BODY, 'TEAM_NOT_FOUND', 'KEY_NOT_FOUND'],
        },
      },
    },
    async (request) => {
      const keyId = keyIdOf(request.params);
      const revoked = await records.revokeKey(teamIdOf(request.params), keyId);
      forget((principal) => principal.keyId === keyId);
      return presentKey(revoked);
    },
  );
}

/** When a key stops to work; null for never. Throws `INVALID_REQUEST` when that is no time to come, or said twice. */
function expiryOf(
  { expires_at, expires_in_s }: { expires_at?: string; expires_in_s?: number },
  nowMs: number,
): Date | null {
  if (expires_at !== undefined && expires_in_s !== undefined)
    throw new DormouseError('INVALID_REQUEST', 'Give "expires_at" or "expires_in_s", not both.', {
      data: { field: 'expires_at' },
    });
  if (expires_in_s !== undefined) return new Date(nowMs + expires_in_s * 1000);
  if (expires_at === undefined) return null;
  const at = new Date(expires_at);
  if (!(at.getTime() > nowMs))
    throw new DormouseError('INVALID_REQUEST', '"expires_at" must be a time to come.', {
      data: { field: 'expires_at' },
    });
  return at;
}

import { type Static, Type } from 'typebox';
import { checkEnv, ENV_BYTES_MAX, TemplateFormat, TemplateSpec } from '../actors/host/template-protocol.ts';
import { describeProblems, problemsOf } from '../bus/schema.ts';
import { DormouseError } from '../errors/index.ts';
import { SANDBOX_ID_PATTERN } from '../ids.ts';
import { PLATFORM } from './templates.ts';

/** How a request says what a template is to be: in the query beside an upload, or in a body of JSON. */

const closed = { additionalProperties: false } as const;
const { name, env: _env, ...facts } = TemplateSpec.properties;

const ENV_PREFIX = 'env.';

export const BuildQuery = Type.Object(
  {
    // Not of the query alone: with a body of JSON, all but the team is in the body.
    name: Type.Optional(name),
    format: Type.Optional(TemplateFormat),
    ...facts,
    overwrite: Type.Optional(Type.Boolean({ description: 'Whether one of this name is replaced' })),
    team: Type.Optional(
      Type.Enum([PLATFORM], {
        description: 'Makes it the platform’s instead of the team’s, which needs the scope `admin`',
      }),
    ),
  },
  {
    ...closed,
    patternProperties: {
      '^env\\.[A-Za-z_][A-Za-z0-9_]{0,127}$': Type.String({ maxLength: ENV_BYTES_MAX }),
    },
  },
);
export type BuildQuery = Static<typeof BuildQuery>;

export const BuildBody = Type.Object(
  {
    ...TemplateSpec.properties,
    sandbox_id: Type.String({
      pattern: SANDBOX_ID_PATTERN,
      description: 'The sandbox, running or paused, whose disk it is made from',
    }),
    overwrite: Type.Boolean({ default: false, description: 'Whether one of this name is replaced' }),
  },
  closed,
);
export type BuildBody = Static<typeof BuildBody>;

/**
 * What the query says of the template.
 *
 * @throws `INVALID_REQUEST`
 */
export function specOfQuery(query: BuildQuery): TemplateSpec {
  const { format: _format, overwrite: _overwrite, team: _team, ...rest } = query;
  const fields: Record<string, unknown> = {};
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(rest)) {
    if (key.startsWith(ENV_PREFIX)) env[key.slice(ENV_PREFIX.length)] = String(value);
    else fields[key] = value;
  }
  const spec = { ...fields, ...(Object.keys(env).length > 0 && { env }) };
  const problems = problemsOf(TemplateSpec, spec);
  if (problems.length > 0)
    throw new DormouseError('INVALID_REQUEST', `In the query: ${describeProblems(problems)}`, {
      data: { in: 'query', problems },
    });
  return checkedSpec(spec as TemplateSpec);
}

/** What a body of JSON says of the template. Throws `INVALID_REQUEST`, also when the query says something of it. */
export function specOfBody(
  { sandbox_id: _id, overwrite: _overwrite, ...spec }: BuildBody,
  query: BuildQuery,
): TemplateSpec {
  const [extra] = Object.keys(query).filter((key) => key !== 'team');
  if (extra !== undefined)
    throw new DormouseError(
      'INVALID_REQUEST',
      `With a body of JSON, everything but the team is in the body: move "${extra}" there.`,
      { data: { in: 'query', problems: [{ path: `/${extra}`, message: 'belongs into the body' }] } },
    );
  return checkedSpec(spec);
}

function checkedSpec(spec: TemplateSpec): TemplateSpec {
  checkEnv(spec.env);
  return spec;
}

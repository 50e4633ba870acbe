import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { describeProblems, problemsOf } from '../../bus/schema.ts';
import { DormouseError } from '../../errors/index.ts';
import { withDefaults } from '../defaults.ts';
import type { EdgeApp } from '../ports.ts';

/**
 * Requests are held against their schemas by the same check as on the bus, so both refuse the same things in the same
 * words. Defaults are filled in. Nothing is dropped and no body is coerced: a number in quotes is a mistake that the
 * caller should hear of. A query has only text, so whole numbers and `true` and `false` are read there.
 *
 * A body of the format `binary` is a stream, which its route reads itself.
 */
export function addBodies(app: EdgeApp): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    // A command without arguments may have no body, whatever its headers say.
    if (text === '') done(null, {});
    else parseJson(request, text, done);
  });
  app.addHook('preValidation', async (request) => {
    if (request.body === undefined && request.routeOptions.schema?.body) request.body = {};
  });
  app.setValidatorCompiler(compile);
  // Answers are checked where they come from: replies by the bus, records by their types.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
}

/** What a message calls each part of a request. */
const PART_NAMES: Record<string, string> = {
  body: 'the body',
  querystring: 'the query',
  headers: 'the header',
  params: 'the path',
};

const compile: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = 'body' }) => {
  if ((schema as { format?: string }).format === 'binary') return (value: unknown) => ({ value });
  return (value: unknown) => {
    const read = httpPart === 'querystring' ? withScalars(schema, value) : value;
    const filled = withDefaults(schema, read);
    const problems = problemsOf(schema, filled);
    if (problems.length === 0) return { value: filled };
    const part = PART_NAMES[httpPart] ?? httpPart;
    return {
      error: new DormouseError('INVALID_REQUEST', `In ${part}: ${describeProblems(problems)}`, {
        data: { in: httpPart === 'querystring' ? 'query' : httpPart, problems },
      }),
    };
  };
};

/** A query with its numbers and truth values read. Text that is neither stays as it is and is refused by the schema. */
function withScalars(schema: TSchema, query: unknown): Record<string, unknown> {
  const { properties = {} } = schema as { properties?: Record<string, { type?: string }> };
  return Object.fromEntries(
    Object.entries(query as Record<string, unknown>).map(([name, value]) => [
      name,
      scalarOf(properties[name]?.type, value),
    ]),
  );
}

function scalarOf(type: string | undefined, value: unknown): unknown {
  if (type === 'integer' && typeof value === 'string' && /^-?\d{1,15}$/.test(value)) return Number(value);
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

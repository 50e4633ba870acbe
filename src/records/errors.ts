import { DriverException } from '@mikro-orm/core';
import { DormouseError, toDormouseError } from '../errors/index.ts';

/**
 * What a query threw, as one of ours, by its SQLSTATE (PostgreSQL documentation, appendix A):
 *
 * - class 22, a value that PostgreSQL cannot store: `INVALID_REQUEST`
 * - class 23, a violated constraint: `INTERNAL`, since the schema of a request should have refused it before
 * - any other, and whatever the connection threw: `RECORDS_UNAVAILABLE`. The fault is the database's, and the same call
 *   may succeed later
 */
export function recordsError(thrown: unknown): DormouseError {
  if (thrown instanceof DormouseError) return thrown;
  const state = sqlStateOf(thrown);
  if (state?.startsWith('22'))
    return new DormouseError('INVALID_REQUEST', 'A value cannot be stored in the database.', {
      cause: thrown,
    });
  if (state?.startsWith('23'))
    return new DormouseError('INTERNAL', 'The record contradicts another one.', { cause: thrown });
  if (state || thrown instanceof DriverException || isConnectionError(thrown))
    return new DormouseError('RECORDS_UNAVAILABLE', 'The database did not answer the query.', {
      cause: thrown,
    });
  return toDormouseError(thrown);
}

function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

function sqlStateOf(thrown: unknown): string | undefined {
  const code = codeOf(thrown);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** What `pg` throws when there is no connection has the system's code (`ENOENT`, `EAI_AGAIN`), or none and one of these messages. */
function isConnectionError(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  return (
    /^E(?!RR_)[A-Z0-9_]+$/.test(codeOf(thrown) ?? '') ||
    /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered|was closed))/.test(
      thrown.message,
    )
  );
}

import { DormouseError } from '../errors/index.ts';

/** The last item of a page: the next page begins after it. */
interface Position {
  createdAt: Date;
  id: string;
}

/** Ids that a cursor can have: of sandboxes, and of requests. */
const SANDBOX_CURSOR = /^sb-[a-z2-7]{1,64}$/;
export const REQUEST_CURSOR = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The position as a text that callers send back and do not look into. */
export function encodeCursor({ createdAt, id }: Position): string {
  return Buffer.from(JSON.stringify([createdAt.getTime(), id])).toString('base64url');
}

/**
 * Reads a cursor again. Throws `INVALID_REQUEST` when it is none of ours.
 *
 * @param ids what the ids of the listed items look like
 */
export function decodeCursor(cursor: string, ids = SANDBOX_CURSOR): Position {
  const position = positionOf(cursor, ids);
  // Only the one text that we would have made: no second spelling, nothing appended.
  if (!position || encodeCursor(position) !== cursor)
    throw new DormouseError('INVALID_REQUEST', 'The cursor is not one that a page before has given.', {
      data: { field: 'cursor' },
    });
  return position;
}

function positionOf(cursor: string, ids: RegExp): Position | undefined {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (!Array.isArray(decoded) || decoded.length !== 2) return undefined;
    const [time, id] = decoded as unknown[];
    const createdAt = new Date(Number(time));
    if (typeof time !== 'number' || Number.isNaN(createdAt.getTime())) return undefined;
    if (typeof id !== 'string' || !ids.test(id)) return undefined;
    return { createdAt, id };
  } catch {
    return undefined;
  }
}

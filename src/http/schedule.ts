import { DormouseError, hasCode } from '../errors/index.ts';

/**
 * What a scheduler answers. A request to it is sent with `unanswered: 'SERVER_UNREACHABLE'`, a code that no scheduler answers
 * with: the host of a request that is sent again may be unreachable, too.
 *
 * @throws `NO_HOST_AVAILABLE` when there is no scheduler; what it throws
 */
export async function orNoScheduler<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!hasCode(error, 'SERVER_UNREACHABLE')) throw error;
    throw new DormouseError('NO_HOST_AVAILABLE', 'No scheduler answers; nothing was begun. Try again.', {
      cause: error,
    });
  }
}

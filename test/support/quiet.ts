import { createLogger, type Logger } from '../../src/log.ts';

/** A logger for tests: silent, unless DORMOUSE_TEST_LOG names a level. */
export const quiet: Logger = createLogger('test', process.env.DORMOUSE_TEST_LOG ?? 'silent');

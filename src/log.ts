import { type Logger, pino } from 'pino';

export type { Logger };

/** Keys whose values never reach a log, wherever they stand. */
const SECRETS = [
  'secret',
  '*.secret',
  'token',
  'nextToken',
  '*.token',
  '*.nextToken',
  'password',
  '*.password',
  'apiKey',
  '*.apiKey',
  'req.headers.authorization',
  'req.headers["x-api-key"]',
];

/**
 * The process's logger: one JSON line per event on standard error, so that standard output stays for results.
 *
 * @param role which role of Dormouse speaks: `host`, `edge`, `scheduler`, `projector`, `up`
 * @param level pino level, from `DORMOUSE_LOG_LEVEL`
 */
export function createLogger(role: string, level: string, destination?: string): Logger {
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      redact: { paths: SECRETS, censor: '[secret]' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    // A file is for its owner: it says which sandboxes there are, and whose.
    pino.destination({ dest: destination ?? 2, sync: false, mkdir: true, mode: 0o600 }),
  );
}

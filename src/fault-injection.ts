import { DormouseError } from './errors/index.ts';
import { onFaultPoint } from './fault-points.ts';
import type { Logger } from './log.ts';

/**
 * Faults at the points of `fault-points.ts`, as `DORMOUSE_FAULTS` names them. For tests of a whole role: this file is loaded
 * only when that variable is set.
 *
 * ```
 * DORMOUSE_FAULTS = FAULT [ ; FAULT ]…
 * FAULT           = POINT [ :N | :* ] = ACTION      the first time the point is passed, the Nth time, or each time
 * ACTION          = kill | fail | hang
 * ```
 *
 * Such as `saveVm done:2=kill; detachDisk begins=fail`.
 */

/**
 * - `kill`: the process dies by SIGKILL, as in a crash.
 * - `fail`: what was done at the point is reported as failed.
 * - `hang`: the whole process stands still (SIGSTOP) until somebody sends it SIGCONT.
 */
const ACTIONS = ['kill', 'fail', 'hang'] as const;
export type FaultAction = (typeof ACTIONS)[number];

export interface Fault {
  point: string;
  /** The how-manieth time the point is passed, from 1 on; or each time. */
  nth: number | 'each';
  action: FaultAction;
}

/** Points end in one of these words, so that what stands before the last colon can be told from one. */
const FORM = /^(?<point>\S.* (?:begins|done|gone))(?::(?<nth>[1-9]\d*|\*))?\s*=\s*(?<action>\w+)$/;

/** Reads a list of faults. Throws `CONFIG_INVALID` that names the one that is wrong. */
export function parseFaults(text: string): Fault[] {
  return text
    .split(';')
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part) => {
      const { point = '', nth = '1', action = '' } = FORM.exec(part)?.groups ?? {};
      if (!isAction(action))
        throw new DormouseError(
          'CONFIG_INVALID',
          `DORMOUSE_FAULTS: ${JSON.stringify(part)} must have the form "<point>[:<number>|:*]=<${ACTIONS.join('|')}>".`,
        );
      return { point, nth: nth === '*' ? 'each' : Number(nth), action };
    });
}

const isAction = (word: string): word is FaultAction => (ACTIONS as readonly string[]).includes(word);

/** Lets the faults happen in this process from now on, and says so loudly. Throws `CONFIG_INVALID`. */
export function injectFaults(text: string, log: Pick<Logger, 'error'>): void {
  const faults = parseFaults(text);
  const passed = new Map<string, number>();
  log.error({ faults }, 'DORMOUSE_FAULTS is set: this process is made to fail. It is for tests only');
  onFaultPoint((point) => {
    const count = (passed.get(point) ?? 0) + 1;
    passed.set(point, count);
    for (const fault of faults)
      if (fault.point === point && (fault.nth === 'each' || fault.nth === count))
        letHappen(fault.action, point);
  });
}

/** Lets it happen, here and now. Throws for `fail`, does not return for `kill`, and returns after SIGCONT for `hang`. */
export function letHappen(action: FaultAction, point: string): void {
  if (action === 'fail') throw new Error(`made to fail at ${point}`);
  process.kill(process.pid, action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
}

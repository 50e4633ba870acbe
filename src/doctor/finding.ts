import type { Config } from '../config/config.ts';
import type { Accelerator } from '../drivers/vmm/types.ts';
import type { Paths } from '../paths.ts';

/**
 * - `ok`: nothing to do.
 * - `note`: Dormouse works, but something is slower or cannot be used.
 * - `missing`: Dormouse does not work on this machine until it is there.
 */
export type FindingStatus = 'ok' | 'note' | 'missing';

/** One thing that was looked at, in words for a person. */
export interface Finding {
  name: string;
  status: FindingStatus;
  /** What is so. */
  found: string;
  /** What it costs, unless all is well. */
  cost?: string;
  /** What to do about it, unless all is well or nothing can be done. */
  remedy?: string;
}

/** What a check may use. It changes nothing on the machine that it does not undo. */
export interface Examination {
  config: Config;
  paths: Paths;
  /** Decides by trying, which takes some seconds the first time; see the monitor's driver. */
  accelerator: (signal: AbortSignal) => Promise<Accelerator>;
  signal: AbortSignal;
}

/** Looks at one thing. What it cannot find out is a finding too: it throws only the signal's reason. */
export type Check = (examination: Examination) => Promise<Finding>;

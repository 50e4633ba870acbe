import { readFileSync } from 'node:fs';
import path from 'node:path';
import { connectBus, readCredentials } from '../bus/index.ts';
import type { Bus } from '../bus/types.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { makeFolder } from '../durable-file.ts';
import { DormouseError } from '../errors/index.ts';
import { createLogger } from '../log.ts';
import { pathsOf } from '../paths.ts';
import { openRecords } from '../records/index.ts';
import type { Records } from '../records/types.ts';
import type { Parts, RolePorts } from './context.ts';

/** The version of this program, as package.json says. */
export const VERSION = (
  JSON.parse(readFileSync(path.join(import.meta.dirname, '..', '..', 'package.json'), 'utf8')) as {
    version: string;
  }
).version;

/**
 * What the parts of a role are made with. The data directory is there afterwards. Throws `CONFIG_INVALID` for faults that
 * cannot be read.
 *
 * @param logFile where the log goes unless a setting says otherwise; standard error without it
 */
export async function rolePorts(
  role: string,
  config: Config,
  logFile?: (paths: RolePorts['paths']) => string,
): Promise<RolePorts> {
  const paths = pathsOf(config.dataDir);
  await makeFolder(paths.root);
  const log = createLogger(role, config.logLevel, config.logFile ?? logFile?.(paths));
  // Loaded only when it is asked for: nothing of it is in a normal run.
  if (config.faults !== undefined) (await import('../fault-injection.ts')).injectFaults(config.faults, log);
  return { config, paths, clock: systemClock, log, version: VERSION };
}

/** The setting's value, which a role that runs by itself cannot do without. Throws `CONFIG_INVALID`. */
export function required(value: string | undefined, name: string, role: string): string {
  if (value === undefined)
    throw new DormouseError(
      'CONFIG_INVALID',
      `${name} is not set. \`dormouse ${role}\` works with servers that run already; \`dormouse up\` starts its own.`,
    );
  return value;
}

/**
 * Connects to the bus under a name and an inbox of the role's own, with what the settings say of its credentials. Closed
 * with `parts`. Throws `BUS_UNAVAILABLE`, `CONFIG_INVALID`.
 */
export async function joinBus(parts: Parts, url: string, role: string, ports: RolePorts): Promise<Bus> {
  const { config, clock, log } = ports;
  const name = config.natsName ?? role;
  const credentials = await readCredentials(config);
  return parts.add(
    await connectBus({ url, name, clock, log, inboxPrefix: `_INBOX_${name}`, ...credentials }),
    (bus) => bus.drain(),
  );
}

/** Opens the records, with migrations applied. Closed with `parts`. */
export async function joinRecords(parts: Parts, url: string, { clock, log }: RolePorts): Promise<Records> {
  return parts.add(await openRecords({ url, clock, log }), (records) => records.close());
}

import type { Logger } from '../../src/log.ts';
import type { World } from './world/world.ts';

/** A log whose warnings and errors become part of the story of the run. */
export function simulatedLog(world: World): Logger {
  const line = (level: string) => (data: unknown, message?: string) => {
    if (world.tells) world.note(`log ${level}: ${message ?? ''} ${shown(data)}`);
  };
  const quiet = (): void => {};
  const log = {
    fatal: line('fatal'),
    error: line('error'),
    warn: line('warn'),
    info: quiet,
    debug: quiet,
    trace: quiet,
  };
  return { ...log, child: () => simulatedLog(world) } as unknown as Logger;
}

function shown(data: unknown): string {
  const { err, error, ...rest } = (typeof data === 'object' ? data : { data }) as Record<string, unknown>;
  const why = err instanceof Error ? err.message : JSON.stringify(err ?? error ?? null);
  return `${why} ${JSON.stringify(rest)}`.slice(0, 300);
}

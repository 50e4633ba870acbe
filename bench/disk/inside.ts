import { measure } from './measure.ts';
import type { MeasureSettings } from './settings.ts';

/**
 * The part that runs in the kernel with device-mapper: takes the settings as JSON in its argument, tells its progress on
 * standard error, and prints the figures as JSON.
 */
try {
  const settings = JSON.parse(process.argv[2] ?? '{}') as MeasureSettings;
  const progress = (what: string): void => console.error(`bench: ${what}`);
  console.log(JSON.stringify(await measure(settings, progress, new AbortController().signal)));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
}

import type { JSX } from 'preact';
import { bytes } from '../../lib/format.ts';
import type { BuildProgress } from '../../lib/types.ts';

/** How far the build of a template is. Its place is there before and after. */
export function BuildProgressView({
  progress,
  made,
}: {
  progress: BuildProgress | null;
  /** Name of the template that was made. */
  made: string | undefined;
}): JSX.Element {
  if (!progress)
    return (
      <p class="build-progress" role="status">
        {made !== undefined && `${made} is made.`}
      </p>
    );
  const { stage, done_bytes, total_bytes, message } = progress;
  return (
    <div class="build-progress">
      <span role="status">{stage}</span>
      <progress
        aria-label={stage}
        {...(total_bytes !== null && { value: done_bytes ?? 0, max: total_bytes })}
      />
      <span class="mono dim cut">
        {done_bytes !== null && bytes(done_bytes)}
        {total_bytes !== null && ` of ${bytes(total_bytes)}`} {message}
      </span>
    </div>
  );
}

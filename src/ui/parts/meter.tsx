import type { JSX } from 'preact';

/** How much of something is taken, as a bar with its numbers. The last tenth has another pattern than the rest. */
export function Meter({
  label,
  used,
  total,
  text,
}: {
  label: string;
  used: number;
  total: number;
  /** The numbers with their unit, such as `3 of 16`. */
  text: string;
}): JSX.Element {
  const share = total > 0 ? Math.min(1, used / total) : 0;
  return (
    <div class="meter">
      <span class="meter-label">{label}</span>
      <span class="meter-text mono">{text}</span>
      <div class="meter-bar" data-level={share > 0.9 ? 'high' : 'normal'} aria-hidden="true">
        <div style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}

import type { SandboxView } from '../actors/sandbox/protocol.ts';
import { systemClock } from '../clock.ts';
import { formatAge, formatMib, formatTimeLeft } from './format.ts';
import { print, printJson } from './output.ts';
import { listing } from './table.ts';

/** Prints a sandbox. */
export function showSandbox(view: SandboxView, { json }: { json?: boolean }): void {
  if (json) printJson(view);
  else print(describeSandbox(view, systemClock.nowMs()));
}

function describeSandbox(view: SandboxView, nowMs: number): string {
  return listing([
    ['id', view.id],
    ['state', view.step === null ? view.state : `${view.state} (${view.step})`],
    ['template', view.template],
    ['size', `${view.vcpus} vCPU, ${formatMib(view.memory_mb)} memory, ${formatMib(view.disk_size_mb)} disk`],
    ['host', view.host_id],
    ['created', `${view.created_at} (${formatAge(view.created_at, nowMs)} ago)`],
    ['changed', `${view.updated_at} (${formatAge(view.updated_at, nowMs)} ago)`],
    [
      'timeout',
      view.expires_at === null
        ? 'never'
        : `${view.on_timeout} in ${formatTimeLeft(view.expires_at, nowMs)} (${view.expires_at})`,
    ],
    ['auto resume', view.auto_resume ? 'yes' : 'no'],
    ['runs', String(view.execution)],
    ['metadata', formatMetadata(view)],
    ['last error', view.last_error === null ? '-' : `${view.last_error.code}: ${view.last_error.detail}`],
    ['allowed now', view.allowed.join(', ') || '-'],
  ]);
}

/** Labels on one line. */
export function formatMetadata(view: SandboxView): string {
  const pairs = Object.entries(view.metadata).map(([key, value]) => `${key}=${value}`);
  return pairs.join(' ') || '-';
}

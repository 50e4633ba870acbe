import { formatAge, formatBytes, formatMib } from './format.ts';
import { listing, table } from './table.ts';
import type { TemplateView } from './template-client.ts';

/** Templates and snapshots as people read them. */

export function templateTable(templates: readonly TemplateView[], nowMs: number): string {
  return table(
    ['NAME', 'OWNER', 'KIND', 'MEMORY', 'SIZE', 'ON DISK', 'AGE'],
    templates.map((one) => [
      one.name,
      one.owner,
      one.kind,
      one.memory ? 'saved' : '-',
      formatMib(one.size_mb),
      formatBytes(one.allocated_bytes),
      formatAge(one.created_at, nowMs),
    ]),
  );
}

export function describeTemplate(one: TemplateView, nowMs: number): string {
  const env = Object.entries(one.env).map(([key, value]) => `${key}=${value}`);
  return listing([
    ['name', one.name],
    ['owner', one.owner],
    ['kind', one.memory ? `${one.kind} with its memory` : one.kind],
    [
      'sandboxes',
      `${one.vcpus} vCPU, ${formatMib(one.memory_mb)} memory, ${formatMib(one.disk_size_mb)} disk`,
    ],
    ['size', `${formatMib(one.size_mb)}, ${formatBytes(one.allocated_bytes)} on disk`],
    ['user', one.user ?? '-'],
    ['folder', one.cwd ?? '-'],
    ['environment', env.join(' ') || '-'],
    ['start command', one.start_cmd ?? '-'],
    ['ready command', one.ready_cmd ?? '-'],
    ['made from', one.source_sandbox_id ?? '-'],
    ['created', `${one.created_at} (${formatAge(one.created_at, nowMs)} ago)`],
  ]);
}

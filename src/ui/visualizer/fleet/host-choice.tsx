import { type Signal, useComputed } from '@preact/signals';
import type { JSX } from 'preact';
import { fleet } from '../../lib/live.ts';
import type { Search } from './search.ts';

const ALL = '';

/** Which host is looked at: all of them, or one. */
export function HostChoice({ search }: { search: Signal<Search> }): JSX.Element {
  // As text, so that the choice is drawn again only when there are other hosts.
  const names = useComputed(() => {
    const all = new Set<string>();
    for (const { host_id } of fleet.value.rows.values()) all.add(host_id);
    return [...all].sort().join('\n');
  });
  const chosen = search.value.host;
  const listed = new Set([...names.value.split('\n').filter(Boolean), ...(chosen === null ? [] : [chosen])]);
  return (
    <select
      class="host-choice"
      aria-label="Host"
      value={chosen ?? ALL}
      onChange={(event) => {
        search.value = { ...search.peek(), host: event.currentTarget.value || null };
      }}
    >
      <option value={ALL}>all hosts</option>
      {[...listed].map((host) => (
        <option key={host} value={host}>
          {host}
        </option>
      ))}
    </select>
  );
}

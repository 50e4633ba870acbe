import type { Command } from 'commander';
import { type HostInfo, hostCommands } from '../../actors/host/protocol.ts';
import { hostSubject } from '../../bus/subjects.ts';
import type { Bus } from '../../bus/types.ts';
import { systemClock } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';
import { withBus } from '../bus.ts';
import { formatAge, formatBytes, formatMib } from '../format.ts';
import { hostId, type JsonOption, withExamples, withJson } from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { listing, table } from '../table.ts';

/** `dormouse host list|info|leaks`: hosts over NATS. `host` is the role's own command, which runs one. */
export function addHostCommands(host: Command): void {
  addList(host);
  addInfo(host);
  addLeaks(host);
}

function addList(host: Command): void {
  const command = host
    .command('list')
    .description('list the hosts that live')
    .action(async (options: JsonOption) => {
      const hosts = await withBus((bus) => bus.hosts.list());
      if (options.json) return printJson({ hosts });
      if (hosts.length === 0) return say('There are no hosts. `dormouse host` runs one.');
      const nowMs = systemClock.nowMs();
      print(
        table(
          ['ID', 'STATE', 'SANDBOXES', 'VCPUS', 'MEMORY', 'DISK FREE', 'VMM', 'UP', 'VERSION'],
          hosts.map((info) => [
            info.host_id,
            info.state,
            String(info.used.sandboxes),
            `${info.used.vcpus}/${info.capacity.vcpus}`,
            `${formatMib(info.used.memory_mb)}/${formatMib(info.capacity.memory_mb)}`,
            formatMib(info.capacity.disk_free_mb),
            `${info.vmm_driver} ${info.accelerator}`,
            formatAge(info.started_at, nowMs),
            info.version,
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"hosts": […]}'), [
    ['dormouse host list', 'hosts and what is free on them'],
  ]);
}

function addInfo(host: Command): void {
  const command = host
    .command('info')
    .description('show what a host is, has and uses')
    .argument('[host]', 'id of the host; not needed when there is only one', hostId)
    .action(async (id: string | undefined, options: JsonOption) => {
      const info = await withBus(async (bus) =>
        bus.request(`${hostSubject(id ?? (await onlyHost(bus)))}.info`, hostCommands.info, {}),
      );
      if (options.json) return printJson(info);
      print(describeHost(info));
    });
  withExamples(withJson(command), [['dormouse host info', 'of the only host']]);
}

function addLeaks(host: Command): void {
  const command = host
    .command('leaks')
    .description(
      'compare what a host holds with what its sandboxes say they hold; status 1 when there is a leak',
    )
    .argument('[host]', 'id of the host; not needed when there is only one', hostId)
    .action(async (id: string | undefined, options: JsonOption) => {
      const { leaks } = await withBus(async (bus) =>
        bus.request(`${hostSubject(id ?? (await onlyHost(bus)))}.leaks`, hostCommands.leaks, {}),
      );
      if (leaks.length > 0) process.exitCode = 1;
      if (options.json) return printJson({ leaks });
      if (leaks.length === 0) return say('There are no leaks.');
      print(
        table(
          ['KIND', 'NAME', 'DETAIL'],
          leaks.map((leak) => [leak.kind, leak.name, leak.detail]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"leaks": […]}'), [['dormouse host leaks', 'of the only host']]);
}

/** @throws `INVALID_REQUEST` unless exactly one host lives */
async function onlyHost(bus: Bus): Promise<string> {
  const ids = (await bus.hosts.list()).map((info) => info.host_id);
  const [only] = ids;
  if (only !== undefined && ids.length === 1) return only;
  throw new DormouseError(
    'INVALID_REQUEST',
    ids.length === 0
      ? 'No host lives. `dormouse host` runs one.'
      : `Name the host: there are ${ids.join(', ')}.`,
  );
}

function describeHost(info: HostInfo): string {
  const { capacity, used } = info;
  const templates = info.templates.map(
    ({ name, allocated_bytes, warm }) =>
      `${name} (${formatBytes(allocated_bytes)}${warm.length > 0 ? `, warm: ${warm.join(' ')}` : ''})`,
  );
  return listing([
    ['id', info.host_id],
    ['state', info.state],
    ['version', info.version],
    ['started', `${info.started_at} (${formatAge(info.started_at, systemClock.nowMs())} ago)`],
    ['drivers', `disk ${info.disk_driver}, vmm ${info.vmm_driver} (${info.accelerator})`],
    ['sandboxes', String(used.sandboxes)],
    ['vCPUs', `${used.vcpus} of ${capacity.vcpus}`],
    ['memory', `${formatMib(used.memory_mb)} of ${formatMib(capacity.memory_mb)}`],
    ['disk free', formatMib(capacity.disk_free_mb)],
    ['templates', templates.join(', ') || '-'],
  ]);
}

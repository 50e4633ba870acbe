import type { HostInfo } from '../host/protocol.ts';
import type { SandboxOptions } from '../sandbox/protocol.ts';

/**
 * The hosts that can take a sandbox, best first: those that are ready, have the template, and have room; among them
 * those with a saved machine of its shape, then the emptiest. Hosts without room come last instead of never: their own
 * answer, which is newer than the directory, says why.
 */
export function rankHosts(hosts: readonly HostInfo[], options: SandboxOptions): HostInfo[] {
  const score = (host: HostInfo): number => {
    const template = host.templates.find((candidate) => candidate.name === options.template);
    const fits =
      host.used.vcpus + options.vcpus <= host.capacity.vcpus &&
      host.used.memory_mb + options.memory_mb <= host.capacity.memory_mb;
    const warm =
      template?.warm.some((shape) => shape.startsWith(`${options.vcpus}x${options.memory_mb}x`)) ?? false;
    const load = host.used.memory_mb / Math.max(1, host.capacity.memory_mb);
    return (template ? 0 : 100) + (fits ? 0 : 10) + (warm ? 0 : 1) + Math.min(load, 0.99);
  };
  return hosts.filter((host) => host.state === 'ready').sort((a, b) => score(a) - score(b));
}

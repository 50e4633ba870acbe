import fc from 'fast-check';
import type { HostInfo } from '../../../src/actors/host/protocol.ts';
import { exampleTemplate } from '../../support/templates.ts';

/** A host's entry in the directory. */
export function hostInfo(changes: Partial<HostInfo> = {}): HostInfo {
  return {
    host_id: 'h-a',
    version: '1',
    state: 'ready',
    started_at: '2026-01-01T00:00:00.000Z',
    at: '2026-01-01T00:00:00.000Z',
    accelerator: 'tcg',
    disk_driver: 'reflink',
    vmm_driver: 'qemu',
    capacity: { vcpus: 16, memory_mb: 4096, disk_free_mb: 10_000 },
    used: { vcpus: 0, memory_mb: 0, sandboxes: 0 },
    templates: [exampleTemplate()],
    ...changes,
  };
}

/** Hosts in all conditions, each with an id of its own. */
export const someHosts: fc.Arbitrary<HostInfo[]> = fc
  .array(
    fc.record({
      state: fc.constantFrom('starting' as const, 'ready' as const, 'draining' as const, 'stopped' as const),
      capacity: fc.record({ vcpus: fc.nat(64), memory_mb: fc.nat(8192), disk_free_mb: fc.nat(1000) }),
      used: fc.record({ vcpus: fc.nat(64), memory_mb: fc.nat(8192), sandboxes: fc.nat(10) }),
      templates: fc.array(
        fc
          .record({
            name: fc.constantFrom('minimal', 'debian'),
            warm: fc.subarray(['1x512x20480', '2x512x20480', '1x5120x20480']),
          })
          .map(exampleTemplate),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 8 },
  )
  .map((hosts) => hosts.map((host, index) => hostInfo({ ...host, host_id: `h-${index}` })));

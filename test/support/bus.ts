import type { Test } from 'tap';
import type { HostInfo } from '../../src/actors/host/protocol.ts';
import type { SandboxTransition, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import type { Inspection } from '../../src/actors/system/inspection.ts';
import { type BusOptions, connectBus } from '../../src/bus/connect.ts';
import type { Bus } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { newSandboxId } from '../../src/ids.ts';
import { silentLog } from './nats.ts';

export const TEAM = '11111111-2222-3333-4444-555555555555';

/** A bus on the server; the test's teardown drains it. */
export async function connectTestBus(t: Test, url: string, options: Partial<BusOptions> = {}): Promise<Bus> {
  const bus = await connectBus({ url, name: t.name, clock: systemClock, log: silentLog, ...options });
  t.teardown(() => bus.drain());
  return bus;
}

export function exampleView(changes: Partial<SandboxView> = {}): SandboxView {
  return {
    id: newSandboxId(),
    team_id: TEAM,
    host_id: 'h-test',
    template: 'minimal',
    state: 'running',
    step: null,
    vcpus: 1,
    memory_mb: 256,
    disk_size_mb: 20480,
    timeout_s: 0,
    on_timeout: 'pause',
    auto_resume: false,
    metadata: {},
    created_at: '2026-01-01T00:00:00.000Z',
    updated_at: '2026-01-01T00:00:00.000Z',
    expires_at: null,
    seq: 1,
    execution: 1,
    last_error: null,
    allowed: ['pause'],
    ...changes,
  };
}

/** The `seq`-th transition of a sandbox. */
export function exampleTransition(sandbox: SandboxView, seq: number): SandboxTransition {
  return {
    v: 1,
    sandbox_id: sandbox.id,
    team_id: sandbox.team_id,
    host_id: sandbox.host_id,
    seq,
    execution: 1,
    at: '2026-01-01T00:00:00.000Z',
    from: seq === 1 ? null : 'running',
    to: 'running',
    cause: 'ping',
    command_id: null,
    step: null,
    step_duration_ms: null,
    error: null,
    sandbox: { ...sandbox, seq },
  };
}

/** What a sandbox that is looked at tells of its `seq`-th transition. */
export function exampleInspection(sandbox: SandboxView, seq: number): Inspection {
  const { v, sandbox_id, sandbox: _, ...transition } = exampleTransition(sandbox, seq);
  return {
    ...{ v, kind: 'sandbox', id: sandbox_id, ...transition },
    ...{ refused: null, allowed: sandbox.allowed, moment: { context: {}, ledger: [], timers: [] } },
  };
}

/** What a host tells of its own actors. */
export function exampleHostInspection(
  hostId: string,
  seq: number,
  kind: 'host' | 'loop-registry' = 'host',
): Inspection {
  return {
    ...{ v: 1, kind, id: hostId, team_id: null, host_id: hostId, seq, execution: null },
    ...{
      at: new Date(Date.UTC(2026, 0, 1) + seq * 1000).toISOString(),
      from: 'idle',
      to: 'idle',
      cause: 'tick',
    },
    ...{ command_id: null, step: null, step_duration_ms: null, error: null, refused: null, allowed: [] },
    moment: { context: {}, ledger: [], timers: [] },
  };
}

export function exampleHost(hostId: string): HostInfo {
  return {
    host_id: hostId,
    version: '0.1.0',
    state: 'ready',
    started_at: '2026-01-01T00:00:00.000Z',
    at: '2026-01-01T00:00:00.000Z',
    accelerator: 'tcg',
    disk_driver: 'reflink',
    vmm_driver: 'qemu',
    capacity: { vcpus: 16, memory_mb: 4096, disk_free_mb: 10_000 },
    used: { vcpus: 0, memory_mb: 0, sandboxes: 0 },
    templates: [],
  };
}

/** Resolves when the server has taken all that the bus sent before: its subscriptions are in force. */
export async function flushed(bus: Bus): Promise<void> {
  const subject = `test.flush.${newSandboxId()}`;
  let subscription: { close(): void } | undefined;
  await new Promise<void>((resolve) => {
    subscription = bus.subscribe(subject, () => resolve());
    bus.publish(subject, new Uint8Array());
  });
  subscription?.close();
}

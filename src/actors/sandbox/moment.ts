import type { ErrorRecord } from '../../errors/index.ts';
import {
  inspectionOf,
  momentOf,
  type Occurrence,
  type Showing,
  shownCommand,
  shownError,
  shownTime,
} from '../system/inspect.ts';
import type { Inspection, Moment } from '../system/inspection.ts';
import type { ActorRecord } from '../system/journal.ts';
import type { SandboxContext } from './context.ts';

/**
 * What is shown of a sandbox's context. Withheld are secrets and what they are made from, paths of the host, and what stands
 * beside it already.
 */
const SHOWN: Showing<SandboxContext> = {
  id: null,
  teamId: null,
  hostId: null,
  command: shownCommand,
  execution: (execution) => ({ execution }),
  heading: (heading) => ({ heading }),
  tries: (tries) => ({ tries }),
  failure: (failure) => ({ failure: errorOf(failure) }),
  lastError: (lastError) => ({ last_error: errorOf(lastError) }),
  source: ({ kind }) => ({ source: kind }),
  options: ({ template, vcpus, memory_mb, disk_size_mb, timeout_s, on_timeout, auto_resume }) => ({
    options: { template, vcpus, memory_mb, disk_size_mb, timeout_s, on_timeout, auto_resume },
  }),
  slot: (slot) => ({ slot: slot && { number: slot.number, namespace: slot.namespace } }),
  vm: (vm) => ({ vm: vm && { pid: vm.pid } }),
  diskPath: (diskPath) => ({ has_disk: diskPath !== null }),
  capture: (capture) => ({ capture: capture && { memory: capture.memory } }),
  createdAtMs: (createdAtMs) => ({ created_at: shownTime(createdAtMs) }),
  expiresAtMs: (expiresAtMs) => ({ expires_at: expiresAtMs === null ? null : shownTime(expiresAtMs) }),
  kernel: null,
  mac: null,
  machineId: null,
  secret: null,
  defaults: null,
};

/** What the sandbox was in the middle of and held when the record was written. */
export function sandboxMoment(record: ActorRecord<SandboxContext>): Moment {
  return momentOf(record, SHOWN);
}

/** What happened to a sandbox, as it is shown. @param allowed commands that its state takes */
export function sandboxInspection(occurrence: Occurrence<SandboxContext>, allowed: string[]): Inspection {
  const { id, teamId, hostId, execution } = occurrence.transition.record.context;
  const inspectee = { kind: 'sandbox', id, team_id: teamId, host_id: hostId, execution, allowed } as const;
  return inspectionOf(occurrence, inspectee, SHOWN);
}

function errorOf(error: ErrorRecord | null): Inspection['error'] {
  return error && shownError(error);
}

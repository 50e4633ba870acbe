import { hostCommands } from '../actors/host/protocol.ts';
import { schedulerCommands } from '../actors/scheduler/protocol.ts';
import { Scheduler } from '../actors/scheduler/scheduler.ts';
import { hostSubject, SCHEDULER_SUBJECT } from '../bus/subjects.ts';
import { type Bus, endpoint } from '../bus/types.ts';
import type { Records } from '../records/types.ts';
import type { Part, RolePorts } from './context.ts';

/** Starts a member of the scheduler's queue group. */
export async function startSchedulerPart(
  bus: Bus,
  records: Records,
  { clock, log }: RolePorts,
): Promise<Part> {
  const scheduler = new Scheduler({
    clock,
    log,
    hosts: () => bus.hosts.list(),
    createOn: (hostId, body, context) =>
      bus.request(`${hostSubject(hostId)}.create`, hostCommands.create, body, context),
    claim: (record) => records.claimSandbox(record),
    unclaim: (sandboxId) => records.unclaimSandbox(sandboxId),
  });
  return await bus.service(
    SCHEDULER_SUBJECT,
    [endpoint(schedulerCommands.create, (body, context) => scheduler.create(body, context))],
    {
      name: 'dormouse-scheduler',
      description: 'Chooses hosts for sandboxes',
      queue: 'scheduler',
      maxInFlight: 512,
    },
  );
}

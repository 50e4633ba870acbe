import { hostCommands } from '../actors/host/protocol.ts';
import { sandboxCommands } from '../actors/sandbox/protocol.ts';
import { schedulerCommands } from '../actors/scheduler/protocol.ts';
import { Scheduler } from '../actors/scheduler/scheduler.ts';
import { hostSubject, SCHEDULER_SUBJECT, sandboxSubject } from '../bus/subjects.ts';
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
    hostInfo: (hostId, context) =>
      bus.request(`${hostSubject(hostId)}.${hostCommands.info.name}`, hostCommands.info, {}, context),
    createOn: (hostId, body, context) =>
      bus.request(`${hostSubject(hostId)}.${hostCommands.create.name}`, hostCommands.create, body, context),
    forkOn: (teamId, sandboxId, body, context) =>
      bus.request(
        `${sandboxSubject(teamId, sandboxId)}.${sandboxCommands.fork.name}`,
        sandboxCommands.fork,
        body,
        context,
      ),
    async destroyOn(teamId, sandboxId, context) {
      const subject = `${sandboxSubject(teamId, sandboxId)}.${sandboxCommands.destroy.name}`;
      await bus.request(subject, sandboxCommands.destroy, {}, context);
    },
    find: (teamId, sandboxId) => records.findSandbox(teamId, sandboxId),
    hostOfTemplate: async (teamId, name) => (await records.findTemplate(teamId, name))?.hostId,
    claim: (record) => records.claimSandbox(record),
    claimAll: (claims) => records.claimSandboxes(claims),
    unclaim: (sandboxId) => records.unclaimSandbox(sandboxId),
    async keptBy(hostId) {
      const subject = `${hostSubject(hostId)}.${hostCommands.sandboxes.name}`;
      const { sandboxes } = await bus.request(subject, hostCommands.sandboxes, {});
      return new Set(sandboxes.map(({ id }) => id));
    },
  });
  return await bus.service(
    SCHEDULER_SUBJECT,
    [
      endpoint(schedulerCommands.create, (body, context) => scheduler.create(body, context)),
      endpoint(schedulerCommands.fork, (body, context) => scheduler.fork(body, context)),
    ],
    {
      name: 'dormouse-scheduler',
      description: 'Chooses hosts for sandboxes',
      queue: 'scheduler',
      maxInFlight: 512,
    },
  );
}

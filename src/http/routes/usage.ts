import { Type } from 'typebox';
import { Usage } from '../../actors/host/inspection-protocol.ts';
import { hostCommands } from '../../actors/host/protocol.ts';
import { hostSubject } from '../../bus/subjects.ts';
import { messageOf } from '../../errors/index.ts';
import { requestOptionsOf } from '../commands.ts';
import { ASKING, KEYED } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';

/** How long a host may take to look at its files, in milliseconds. Others are answered without it. */
const ANSWER_MS_MAX = 5_000;

const closed = { additionalProperties: false } as const;

/** What disks and memories really take. */
export function addUsageRoute(app: EdgeApp, { bus, clock, log }: EdgePorts): void {
  const { usage } = hostCommands;

  app.get(
    '/v1/usage',
    {
      schema: {
        operationId: 'getUsage',
        summary: 'Says how much of the disks of its hosts each sandbox of the team really takes.',
        description: 'The hosts look at it now. What clones share counts for each of them.',
        tags: ['Fleet'],
        response: {
          200: Type.Object(
            {
              sandboxes: Usage.properties.sandboxes,
              hosts_missing: Type.Array(Type.String(), {
                description: 'Hosts that did not answer in time: nothing is told of their sandboxes',
              }),
            },
            closed,
          ),
        },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: [...KEYED, ...ASKING] } },
    },
    async (request) => {
      const { teamId } = principalOf(request);
      const hosts = await bus.hosts.list();
      const options = { ...requestOptionsOf(request), deadlineMs: clock.nowMs() + ANSWER_MS_MAX };
      const answers = await Promise.all(
        hosts.map(async ({ host_id }) => {
          try {
            const subject = `${hostSubject(host_id)}.${usage.name}`;
            return await bus.request(subject, usage, { team_id: teamId }, options);
          } catch (error) {
            log.debug({ host: host_id, reason: messageOf(error) }, 'a host does not say what it uses');
            return undefined;
          }
        }),
      );
      return {
        sandboxes: answers.flatMap((answer) => answer?.sandboxes ?? []),
        hosts_missing: hosts.filter((_, at) => !answers[at]).map(({ host_id }) => host_id),
      };
    },
  );
}

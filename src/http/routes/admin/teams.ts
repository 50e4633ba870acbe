import { Type } from 'typebox';
import { Quota } from '../../admin-schemas.ts';
import { BODY, KEYED } from '../../error-sets.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { ref } from '../../schemas.ts';
import type { Forget } from './forget.ts';
import { TeamPath, teamIdOf, teamNotFound } from './paths.ts';
import { presentTeam, quotaOf } from './present.ts';

const tags = ['Admin'];
const closed = { additionalProperties: false } as const;

const TeamName = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]{1,128}$',
  description: 'For people; no control characters',
});
const SomeOfQuota = Type.Partial(Quota, {
  ...closed,
  description: 'Limits that are left out stay as they are: at first there is none',
});
const NO_LIMITS = { sandboxes: null, vcpus: null, memoryMb: null, diskMb: null };

/** Teams and what they may have at the same time. */
export function addTeamRoutes(app: EdgeApp, { records }: EdgePorts, forget: Forget): void {
  app.get(
    '/v1/admin/teams',
    {
      schema: {
        operationId: 'listTeams',
        summary: 'Lists the teams with their quotas and what they have, by name.',
        tags,
        response: { 200: Type.Object({ teams: Type.Array(ref('Team')) }, closed) },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: KEYED } },
    },
    async () => ({ teams: (await records.listTeams()).map(presentTeam) }),
  );

  app.post(
    '/v1/admin/teams',
    {
      schema: {
        operationId: 'createTeam',
        summary: 'Makes a team. It has no key yet.',
        tags,
        body: Type.Object({ name: TeamName, quota: Type.Optional(SomeOfQuota) }, closed),
        response: { 201: ref('Team') },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, ...BODY] } },
    },
    async (request, reply) => {
      const { name, quota = {} } = request.body;
      const team = await records.createTeam({ name, quota: { ...NO_LIMITS, ...quotaOf(quota) } });
      const usage = { sandboxes: 0, vcpus: 0, memoryMb: 0, diskMb: 0 };
      return reply
        .code(201)
        .header('location', `/v1/admin/teams/${team.id}`)
        .send(presentTeam({ ...team, usage }));
    },
  );

  app.get(
    '/v1/admin/teams/:team',
    {
      schema: {
        operationId: 'getTeam',
        summary: 'Shows a team with its quota and what it has.',
        tags,
        params: TeamPath,
        response: { 200: ref('Team') },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, 'TEAM_NOT_FOUND'] } },
    },
    async (request) => presentTeam(await found(teamIdOf(request.params))),
  );

  app.patch(
    '/v1/admin/teams/:team',
    {
      schema: {
        operationId: 'updateTeam',
        summary: 'Changes the name or the quota of a team.',
        description: 'What stands above a lowered limit stays; nothing is added to it.',
        tags,
        params: TeamPath,
        body: Type.Object({ name: Type.Optional(TeamName), quota: Type.Optional(SomeOfQuota) }, closed),
        response: { 200: ref('Team') },
      },
      config: { rules: { scope: 'admin', owner: 'admin', errors: [...KEYED, ...BODY, 'TEAM_NOT_FOUND'] } },
    },
    async (request) => {
      const teamId = teamIdOf(request.params);
      const { name, quota } = request.body;
      await records.updateTeam(teamId, {
        ...(name !== undefined && { name }),
        ...(quota && { quota: quotaOf(quota) }),
      });
      return presentTeam(await found(teamId));
    },
  );

  app.delete(
    '/v1/admin/teams/:team',
    {
      schema: {
        operationId: 'deleteTeam',
        summary: 'Removes a team with its keys, unless it has sandboxes or templates.',
        description:
          'Its keys work here no longer from now on, and their streams of events here end. Through other edges they work for ' +
          'up to 30 seconds, and streams that are open there last up to ten minutes.',
        tags,
        params: TeamPath,
        response: { 200: ref('Team') },
      },
      config: {
        rules: {
          scope: 'admin',
          owner: 'admin',
          errors: [...KEYED, ...BODY, 'TEAM_NOT_FOUND', 'TEAM_IN_USE'],
        },
      },
    },
    async (request) => {
      const teamId = teamIdOf(request.params);
      const team = await found(teamId);
      await records.deleteTeam(teamId);
      forget((principal) => principal.teamId === teamId);
      return presentTeam(team);
    },
  );

  async function found(teamId: string) {
    const team = await records.findTeam(teamId);
    if (!team) throw teamNotFound();
    return team;
  }
}

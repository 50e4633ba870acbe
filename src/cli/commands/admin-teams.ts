import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { AdminClient, type QuotaView, type TeamView } from '../admin-client.ts';
import { formatAge, formatMib } from '../format.ts';
import { type JsonOption, limit, uuid, withExamples, withJson } from '../options.ts';
import { print, printJson } from '../output.ts';
import { serverAddress } from '../server-info.ts';
import { listing, table } from '../table.ts';

type Limit = number | 'none';

interface QuotaOptions {
  sandboxes?: Limit;
  vcpus?: Limit;
  memoryMb?: Limit;
  diskMb?: Limit;
}

const EXAMPLE_TEAM = '$team';

/** `dormouse admin team …`. */
export function addTeamCommands(admin: Command): void {
  const team = admin.command('team').description('teams and what they may have at the same time');
  addList(team);
  addCreate(team);
  addGet(team);
  addUpdate(team);
  addDelete(team);
}

function addList(team: Command): void {
  const command = team
    .command('list')
    .description('list the teams with what they have and may have')
    .action(async (options: JsonOption) => {
      const teams = await new AdminClient(await serverAddress()).teams();
      if (options.json) return printJson({ teams });
      print(
        table(
          ['ID', 'NAME', 'SANDBOXES', 'VCPUS', 'MEMORY', 'DISK'],
          teams.map((one) => [one.id, one.name, ...usedOfQuota(one).map(([, text]) => text)]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"teams": […]}'), [['dormouse admin team list', 'all of them']]);
}

function addCreate(team: Command): void {
  const command = team
    .command('create')
    .description('make a team; `dormouse admin key create` makes its first key')
    .argument('<name>', 'name of the team, for people')
    .action(async (name: string, options: JsonOption & QuotaOptions) => {
      show(await new AdminClient(await serverAddress()).createTeam(name, quotaOf(options)), options);
    });
  withExamples(withJson(withQuota(command)), [
    ['dormouse admin team create research --sandboxes 20 --memory-mb 16384', 'with two limits'],
  ]);
}

function addGet(team: Command): void {
  const command = team
    .command('get')
    .description('show a team')
    .argument('<team>', 'id of the team', uuid)
    .action(async (id: string, options: JsonOption) => {
      show(await new AdminClient(await serverAddress()).team(id), options);
    });
  withExamples(withJson(command), [[`dormouse admin team get ${EXAMPLE_TEAM}`, 'what it has and may have']]);
}

function addUpdate(team: Command): void {
  const command = team
    .command('update')
    .description('change the name or the limits of a team; limits that are not given stay')
    .argument('<team>', 'id of the team', uuid)
    .option('--name <name>', 'new name')
    .action(async (id: string, options: JsonOption & QuotaOptions & { name?: string }) => {
      const { name } = options;
      const quota = quotaOf(options);
      const changes = { ...(name !== undefined && { name }), quota };
      show(await new AdminClient(await serverAddress()).updateTeam(id, changes), options);
    });
  withExamples(withJson(withQuota(command)), [
    [`dormouse admin team update ${EXAMPLE_TEAM} --sandboxes 50 --disk-mb none`, 'more, and any disk'],
  ]);
}

function addDelete(team: Command): void {
  const command = team
    .command('delete')
    .description('delete a team with its keys; refused while it has sandboxes or templates')
    .argument('<team>', 'id of the team', uuid)
    .action(async (id: string, options: JsonOption) => {
      const deleted = await new AdminClient(await serverAddress()).deleteTeam(id);
      if (options.json) printJson(deleted);
      else print(`${deleted.id} deleted`);
    });
  withExamples(withJson(command), [
    [`dormouse admin team delete ${EXAMPLE_TEAM}`, 'when it has nothing left'],
  ]);
}

function withQuota(command: Command): Command {
  return command
    .option('--sandboxes <n>', 'most sandboxes, running or not; none for no limit', limit)
    .option('--vcpus <n>', 'most vCPUs of all its sandboxes; none for no limit', limit)
    .option('--memory-mb <n>', 'most memory of all its sandboxes, in MiB; none for no limit', limit)
    .option('--disk-mb <n>', 'most disk of all its sandboxes, in MiB; none for no limit', limit);
}

function quotaOf({ sandboxes, vcpus, memoryMb, diskMb }: QuotaOptions): Partial<QuotaView> {
  return {
    ...(sandboxes !== undefined && { sandboxes: limitOf(sandboxes) }),
    ...(vcpus !== undefined && { vcpus: limitOf(vcpus) }),
    ...(memoryMb !== undefined && { memory_mb: limitOf(memoryMb) }),
    ...(diskMb !== undefined && { disk_mb: limitOf(diskMb) }),
  };
}

function limitOf(limit: Limit): number | null {
  return limit === 'none' ? null : limit;
}

function show(team: TeamView, { json }: JsonOption): void {
  if (json) printJson(team);
  else print(describeTeam(team, systemClock.nowMs()));
}

function describeTeam(team: TeamView, nowMs: number): string {
  return listing([
    ['id', team.id],
    ['name', team.name],
    ...usedOfQuota(team),
    ['created', `${team.created_at} (${formatAge(team.created_at, nowMs)} ago)`],
  ]);
}

/** What the team has, of what it may have. */
function usedOfQuota({ usage, quota }: TeamView): Array<[name: string, text: string]> {
  const of = (used: string, most: string | undefined): string =>
    most === undefined ? used : `${used} of ${most}`;
  const mib = (value: number | null): string | undefined => (value === null ? undefined : formatMib(value));
  const number = (value: number | null): string | undefined => (value === null ? undefined : String(value));
  return [
    ['sandboxes', of(String(usage.sandboxes), number(quota.sandboxes))],
    ['vCPUs', of(String(usage.vcpus), number(quota.vcpus))],
    ['memory', of(formatMib(usage.memory_mb), mib(quota.memory_mb))],
    ['disk', of(formatMib(usage.disk_mb), mib(quota.disk_mb))],
  ];
}

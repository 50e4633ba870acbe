import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { AdminClient } from '../admin-client.ts';
import { formatAge, formatBytes, formatMib } from '../format.ts';
import { type JsonOption, uuid, wholeNumber, withExamples, withJson } from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { serverAddress } from '../server-info.ts';
import { table } from '../table.ts';
import { addKeyCommands } from './admin-keys.ts';
import { addTeamCommands } from './admin-teams.ts';

/** Entries that `audit` shows unless it is told otherwise. */
const AUDIT_COUNT = 50;

/** `dormouse admin …`: for those who look after the installation. Every command needs a key with the scope `admin`. */
export function addAdminCommands(program: Command): void {
  const admin = program
    .command('admin')
    .description('teams, keys and quotas, templates of all teams, who did what; needs the scope admin');
  addTeamCommands(admin);
  addKeyCommands(admin);
  addTemplates(admin);
  addAudit(admin);
}

function addTemplates(admin: Command): void {
  const template = admin.command('template').description('templates of all teams');
  const command = template
    .command('list')
    .description('list the templates of all teams, by team and name')
    .action(async (options: JsonOption) => {
      const templates = await new AdminClient(await serverAddress()).templates();
      if (options.json) return printJson({ templates });
      const nowMs = systemClock.nowMs();
      print(
        table(
          ['TEAM', 'NAME', 'KIND', 'MEMORY', 'SIZE', 'ON DISK', 'HOST', 'AGE'],
          templates.map((one) => [
            one.team_id,
            one.name,
            one.kind,
            one.memory ? 'saved' : '-',
            formatMib(one.size_mb),
            formatBytes(one.allocated_bytes),
            one.host_id,
            formatAge(one.created_at, nowMs),
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"templates": […]}'), [
    ['dormouse admin template list', 'and on which host each is'],
  ]);
}

function addAudit(admin: Command): void {
  const command = admin
    .command('audit')
    .description('show the requests that could change something, newest first')
    .option('--team <id>', 'only of this team', uuid)
    .option('--key <id>', 'only of the key with this id', uuid)
    .option('--count <n>', 'how many', wholeNumber, AUDIT_COUNT)
    .action(async (options: JsonOption & { team?: string; key?: string; count: number }) => {
      const { team, key, count } = options;
      const filter = { ...(team !== undefined && { team }), ...(key !== undefined && { key }) };
      const entries = await new AdminClient(await serverAddress()).audit(filter, count);
      if (options.json) return printJson({ entries });
      if (entries.length === 0) return say('There are no entries.');
      print(
        table(
          ['AT', 'TEAM', 'KEY', 'FROM', 'ACTION', 'TARGET', 'RESULT'],
          entries.map((entry) => [
            entry.at,
            entry.team_id ?? '-',
            entry.key_id ?? '-',
            entry.address,
            entry.action,
            entry.target ?? '-',
            entry.code ?? String(entry.status),
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"entries": […]}'), [
    ['dormouse admin audit --count 200', 'the last 200'],
    ['dormouse admin audit --team 00000000-0000-4000-8000-000000000001', 'of one team'],
  ]);
}

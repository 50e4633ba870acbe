import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import type { Scope } from '../../records/types.ts';
import { AdminClient, type KeyView } from '../admin-client.ts';
import { formatAge, formatTimeLeft } from '../format.ts';
import { type JsonOption, scopes, uuid, wholeNumber, withExamples, withJson } from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { serverAddress } from '../server-info.ts';
import { table } from '../table.ts';

const EXAMPLE_TEAM = '$team';
const EXAMPLE_KEY = '$key';

/** `dormouse admin key …`. */
export function addKeyCommands(admin: Command): void {
  const key = admin.command('key').description('API keys of teams');
  addList(key);
  addCreate(key);
  addRevoke(key);
}

function addList(key: Command): void {
  const command = key
    .command('list')
    .description('list the keys of a team, newest first; revoked and expired ones, too')
    .argument('<team>', 'id of the team', uuid)
    .action(async (team: string, options: JsonOption) => {
      const keys = await new AdminClient(await serverAddress()).keys(team);
      if (options.json) return printJson({ keys });
      if (keys.length === 0) return say('The team has no keys. `dormouse admin key create` makes one.');
      const nowMs = systemClock.nowMs();
      print(
        table(
          ['ID', 'PREFIX', 'NAME', 'SCOPES', 'AGE', 'LAST USED', 'STATE'],
          keys.map((one) => [
            one.id,
            one.prefix,
            one.name,
            one.scopes.join(','),
            formatAge(one.created_at, nowMs),
            one.last_used_at === null ? 'never' : `${formatAge(one.last_used_at, nowMs)} ago`,
            stateOf(one, nowMs),
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"keys": […]}'), [
    [`dormouse admin key list ${EXAMPLE_TEAM}`, 'without their secrets'],
  ]);
}

function stateOf({ revoked_at, expires_at }: KeyView, nowMs: number): string {
  if (revoked_at !== null) return 'revoked';
  if (expires_at === null) return 'works';
  return Date.parse(expires_at) <= nowMs ? 'expired' : `works for ${formatTimeLeft(expires_at, nowMs)}`;
}

interface CreateOptions extends JsonOption {
  name: string;
  scopes?: Scope[];
  expiresInS?: number;
}

function addCreate(key: Command): void {
  const command = key
    .command('create')
    .description('make a key for a team and print it; it is shown here and never again')
    .argument('<team>', 'id of the team', uuid)
    .requiredOption('--name <name>', 'whose it is, or what it is for')
    .option(
      '--scopes <scopes>',
      'what it allows, separated by commas: read, write, admin [read,write]',
      scopes,
    )
    .option(
      '--expires-in-s <n>',
      'seconds until it stops to work; without it, it works until it is revoked',
      wholeNumber,
    )
    .action(async (team: string, options: CreateOptions) => {
      const { name, expiresInS } = options;
      const made = await new AdminClient(await serverAddress()).createKey(team, {
        name,
        scopes: options.scopes ?? ['read', 'write'],
        ...(expiresInS !== undefined && { expires_in_s: expiresInS }),
      });
      if (options.json) return printJson(made);
      print(made.key);
      say(`Keep it: it is not shown again. Its id is ${made.id}.`);
    });
  withExamples(withJson(command), [
    [`dormouse admin key create ${EXAMPLE_TEAM} --name laptop`, 'to read and write'],
    [
      `dormouse admin key create ${EXAMPLE_TEAM} --name ci --scopes read --expires-in-s 86400`,
      'to look only, for a day',
    ],
  ]);
}

function addRevoke(key: Command): void {
  const command = key
    .command('revoke')
    .description('revoke a key; other edges than the one that is asked take it for up to 30 seconds more')
    .argument('<team>', 'id of the team', uuid)
    .argument('<key>', 'id of the key, as `list` shows it', uuid)
    .action(async (team: string, id: string, options: JsonOption) => {
      const revoked = await new AdminClient(await serverAddress()).revokeKey(team, id);
      if (options.json) printJson(revoked);
      else print(`${revoked.id} revoked`);
    });
  withExamples(withJson(command), [
    [`dormouse admin key revoke ${EXAMPLE_TEAM} ${EXAMPLE_KEY}`, 'it works no longer'],
  ]);
}

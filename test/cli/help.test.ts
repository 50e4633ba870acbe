import type { Command } from 'commander';
import t from 'tap';
import { createProgram } from '../../src/cli/program.ts';
import { describeVariables } from '../../src/config/config.ts';
import { newSandboxId } from '../../src/ids.ts';
import { dormouse } from './support.ts';

t.jobs = 2;

/** Words that lead to each command: `['sandbox', 'create']`. */
function commandsOf(command: Command, path: string[] = []): Array<{ path: string[]; command: Command }> {
  const below = command.commands.flatMap((child) => commandsOf(child, [...path, child.name()]));
  return [{ path, command }, ...below];
}

const commands = commandsOf(createProgram());
const ROLES = ['up', 'edge', 'host', 'scheduler', 'projector'];

for (const { path, command } of commands) {
  const name = ['dormouse', ...path].join(' ');
  t.test(`${name} --help`, async (t) => {
    const result = await dormouse([...path, '--help']);
    t.equal(result.status, 0);
    t.equal(result.stderr, '');
    const help = result.stdout.toString();
    t.match(help, `Usage: ${name}`);
    // A group does nothing itself; the role `host` does.
    const isGroup = path.length > 0 && command.commands.length > 0 && path[0] !== 'host';
    if (!isGroup) t.match(help, /Examples:\n {2}#/);
    const isRole = path.length === 1 && ROLES.includes(path[0] ?? '');
    if (isRole) for (const variable of describeVariables()) t.match(help, variable.name);
    if (path.length > 0 && !isGroup && !isRole)
      t.ok(
        command.options.some((option) => option.long === '--json'),
        'has --json',
      );
    t.notMatch(help, /.{101}/, 'no line is too long for a terminal');
  });
}

t.test('sandbox restart --help says what is lost', async (t) => {
  const help = (await dormouse(['sandbox', 'restart', '--help'])).stdout.toString().replace(/\s+/g, ' ');
  t.match(help, 'a paused one loses its saved memory for good');
});

t.test('--version', async (t) => {
  t.match((await dormouse(['--version'])).stdout.toString(), /^\d+\.\d+\.\d+\n$/);
});

const id = newSandboxId();
for (const [why, args] of [
  ['no command', []],
  ['an unknown command', ['sandbx']],
  ['an unknown command of a group', ['sandbox', 'creat']],
  ['an unknown option', ['sandbox', 'list', '--colour']],
  ['an unknown option of a role', ['up', '--pause']],
  ['an argument too many', ['sandbox', 'get', id, id]],
  ['an argument too few', ['sandbox', 'get']],
  ['no program', ['exec', id]],
  ['an id that is none', ['sandbox', 'get', '../../readyz']],
  ['a number that is none', ['sandbox', 'create', '--vcpus', 'two']],
  ['a label without a value', ['sandbox', 'create', '--metadata', 'user']],
  ['a key that no header takes', ['sandbox', 'create', '--idempotency-key', 'ключ']],
  ['an unknown state', ['sandbox', 'list', '--state', 'asleep']],
  ['options that exclude each other', ['sandbox', 'list', '--all', '--state', 'paused']],
  ['a subject with a wildcard', ['nats-req', 'dormouse.*.x']],
  ['a body that is not JSON', ['nats-req', 'a.b', '{']],
  ['a body that is not an object', ['nats-req', 'a.b', '[]']],
  ['a host id that is none', ['host', 'info', 'a.b']],
  ['a template without a name', ['template', 'build', '--from', '/dev/null']],
  ['a template from nothing', ['template', 'build', '-t', 'x']],
  ['a template from two things', ['template', 'build', '-t', 'x', '--from', '/', '--from-sandbox', id]],
  ['a template name that is none', ['template', 'get', '../x']],
  ['an unknown format', ['template', 'build', '-t', 'x', '--from', '/', '--format', 'zip']],
  ['a snapshot without a name', ['snapshot', 'create', id]],
  ['a resize without a size', ['sandbox', 'resize', id]],
  ['a team id that is none', ['admin', 'team', 'get', 'x']],
  ['a limit that is none', ['admin', 'team', 'create', 'x', '--sandboxes', 'many']],
  ['an unknown machine', ['machine', 'scheduler']],
  ['an unknown scope', ['admin', 'key', 'create', id, '--name', 'x', '--scopes', 'all']],
] as Array<[string, string[]]>) {
  t.test(`wrong usage: ${why}`, async (t) => {
    const result = await dormouse(args);
    t.equal(result.status, 2);
    t.equal(result.stdout.toString(), '', 'nothing that a script could take for a result');
    t.match(result.stderr, /error: |Usage: /);
  });
}

import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { loadConfig } from '../../config/config.ts';
import { variables } from '../../config/variables.ts';
import type { RoleContext } from '../../roles/context.ts';
import { interruptible } from '../interrupt.ts';
import { withExamples } from '../options.ts';
import { print } from '../output.ts';
import { settingsHelp } from '../settings-help.ts';
import { addHostCommands } from './host.ts';

type RunRole = (context: RoleContext) => Promise<void>;

/**
 * `dormouse up` and the four roles. A role's code is loaded when it is run, so that the client commands start without
 * the database and web libraries.
 */
export function addRoleCommands(program: Command): void {
  const up = program
    .command('up')
    .description('run all of Dormouse: NATS, PostgreSQL and the four roles, on one data directory')
    .option('--pause-on-exit', 'pause the running sandboxes at the end instead of leaving them as they are');
  addAuthOption(up);
  addRole(up, async () => (await import('../../roles/up.ts')).runUp);
  withExamples(up, [
    ['dormouse up', 'Ctrl-C ends it; the sandboxes are found again by the next one'],
    ['DORMOUSE_HTTP_PORT=8080 DORMOUSE_DATA_DIR=/srv/dormouse dormouse up', 'elsewhere'],
    ['dormouse up --auth none', 'without keys, for a machine of your own'],
  ]);

  const edge = program.command('edge').description('run the HTTP API against NATS_URL and DATABASE_URL');
  addAuthOption(edge);
  addRole(edge, async () => (await import('../../roles/edge.ts')).runEdge);
  withExamples(edge, [
    ['NATS_URL=… DATABASE_URL=… DORMOUSE_HTTP_PORT=8080 dormouse edge', 'one of many edges'],
  ]);

  const host = program
    .command('host')
    .description('run the host of this machine against NATS_URL; ask about hosts');
  addRole(host, async () => (await import('../../roles/host.ts')).runHost);
  withExamples(host, [
    ['NATS_URL=… DORMOUSE_DATA_DIR=/srv/dormouse dormouse host', 'a host with its sandboxes there'],
    ['dormouse host list', 'hosts that live'],
  ]);
  addHostCommands(host);

  const scheduler = program
    .command('scheduler')
    .description('run a member of the scheduler group against NATS_URL and DATABASE_URL');
  addRole(scheduler, async () => (await import('../../roles/scheduler.ts')).runScheduler);
  withExamples(scheduler, [['NATS_URL=… DATABASE_URL=… dormouse scheduler', 'one of several']]);

  const projector = program
    .command('projector')
    .description('store what happens in PostgreSQL: from NATS_URL to DATABASE_URL');
  addRole(projector, async () => (await import('../../roles/projector.ts')).runProjector);
  withExamples(projector, [['NATS_URL=… DATABASE_URL=… dormouse projector', 'one is enough']]);
}

/** `--auth`, for what DORMOUSE_AUTH says otherwise. */
function addAuthOption(command: Command): void {
  const choices = variables.auth.choices;
  command.addOption(
    command
      .createOption('--auth <how>', 'whether requests need an API key; as DORMOUSE_AUTH')
      .choices([...choices]),
  );
}

function addRole(command: Command, load: () => Promise<RunRole>): void {
  command.addHelpText('after', settingsHelp).action(async (options: Record<string, unknown>) => {
    const { auth } = options as { auth?: string };
    const config = loadConfig({
      ...process.env,
      ...(auth !== undefined && { [variables.auth.name]: auth }),
    });
    const interruption = interruptible(systemClock);
    try {
      const run = await load();
      await run({ config, signal: interruption.signal, print, options });
    } catch (error) {
      // Asked to stop while it was starting: nothing failed.
      if (!interruption.signal.aborted || error !== interruption.signal.reason) throw error;
      process.exitCode = interruption.status();
    } finally {
      interruption.end();
    }
  });
}

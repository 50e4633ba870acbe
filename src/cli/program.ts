import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addAdminCommands } from './commands/admin.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addExecCommand } from './commands/exec.ts';
import { addMachineCommand } from './commands/machine.ts';
import { addNatsReqCommand } from './commands/nats-req.ts';
import { addRoleCommands } from './commands/roles.ts';
import { addSandboxCommands } from './commands/sandbox.ts';
import { addSnapshotCommands } from './commands/snapshot.ts';
import { addTemplateCommands } from './commands/template.ts';

const PACKAGE_FILE = new URL('../../package.json', import.meta.url);

/**
 * All commands. Instead of ending the process, the program throws `CommanderError`, so that its caller sets the exit
 * status and everything that was written reaches its reader.
 */
export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(PACKAGE_FILE, 'utf8')) as { version: string };
  // Settings of a command are inherited by those that are made with its `command()` afterwards.
  const program = new Command('dormouse')
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .description(
      'Sandboxes that start within some hundred milliseconds, pause with memory and disk, and wake where they left off.',
    )
    .version(version);
  addRoleCommands(program);
  addDemoCommand(program);
  addDoctorCommand(program);
  addSandboxCommands(program);
  addExecCommand(program);
  addTemplateCommands(program);
  addSnapshotCommands(program);
  addAdminCommands(program);
  addMachineCommand(program);
  addNatsReqCommand(program);
  program.addHelpText(
    'after',
    `
The client commands use DORMOUSE_URL and DORMOUSE_API_KEY, else the server that
runs on the data directory. \`dormouse up --help\` lists all settings.

Exit status: 0 done, 1 failed, 2 wrong usage; \`exec\` has that of its program.

Examples:
  # run everything, here
  $ dormouse up
  # see a sandbox's whole life
  $ dormouse demo
  # make one and use it
  $ dormouse sandbox create
  $ dormouse exec <id> -- uname -a`,
  );
  return program;
}

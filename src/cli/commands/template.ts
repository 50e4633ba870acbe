import type { Command } from 'commander';
import type { TemplateFormat, TemplateSpec } from '../../actors/host/template-protocol.ts';
import { systemClock } from '../../clock.ts';
import { buildDisplay } from '../build-progress.ts';
import { openSource } from '../build-source.ts';
import { interruptible } from '../interrupt.ts';
import {
  type JsonOption,
  keyValue,
  sandboxId,
  templateName,
  wholeNumber,
  withExamples,
  withJson,
} from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { ProblemError } from '../problem.ts';
import { serverAddress } from '../server-info.ts';
import { TemplateClient, type TemplateKind } from '../template-client.ts';
import { describeTemplate, templateTable } from '../template-view.ts';

/** `dormouse template …`: what sandboxes are made from. */
export function addTemplateCommands(program: Command): void {
  const template = program.command('template').description('build, look at and delete templates');
  addBuild(template);
  addList(template);
  addGet(template);
  addDelete(template);
}

interface BuildOptions extends JsonOption {
  from?: string;
  fromSandbox?: string;
  name: string;
  format: TemplateFormat;
  startCmd?: string;
  readyCmd?: string;
  user?: string;
  cwd?: string;
  env?: Record<string, string>;
  vcpus?: number;
  memoryMb?: number;
  diskSizeMb?: number;
  overwrite?: boolean;
  platform?: boolean;
}

function addBuild(template: Command): void {
  const command = template
    .command('build')
    .description('build a template from a root file system and wait until sandboxes can be made from it');
  command
    .addOption(
      command
        .createOption('--from <path>', 'a tar (docker export, docker save, OCI), an ext4 image, or a folder')
        .conflicts('fromSandbox'),
    )
    .option('--from-sandbox <id>', 'the disk of this sandbox instead of a file', sandboxId)
    .requiredOption('-t, --name <name>', 'name of the template', templateName)
    .addOption(
      command
        .createOption('--format <format>', 'what the file is; auto looks at its content')
        .choices(['auto', 'tar', 'oci', 'ext4'])
        .default('auto'),
    )
    .option('--start-cmd <cmd>', 'shell command that is started once and runs on in every sandbox')
    .option('--ready-cmd <cmd>', 'shell command that is tried until it exits with 0')
    .option('--user <name>', 'who runs programs when an exec names nobody')
    .option('--cwd <path>', 'where programs run when an exec names no folder')
    .option('--env <key=value>', 'variable of the environment; may be given several times', keyValue)
    .option('--vcpus <n>', 'vCPUs of a sandbox that names no number', wholeNumber)
    .option('--memory-mb <n>', 'memory of a sandbox that names no size, in MiB', wholeNumber)
    .option('--disk-size-mb <n>', 'disk of a sandbox that names no size, in MiB', wholeNumber)
    .option('--overwrite', 'replace the template of this name, if there is one')
    .option('--platform', 'for every team; needs a key with the scope admin')
    .action((options: BuildOptions) => build(options, command));
  withExamples(withJson(command), [
    ['dormouse template build --from rootfs.tar -t python', 'from what docker export wrote'],
    ['dormouse template build --from ./rootfs -t web --start-cmd /srv/start', 'from a folder, with a server'],
    [
      'dormouse template build --from-sandbox sb-abcdefghij2345678abc -t mine',
      'from what was installed by hand',
    ],
  ]);
}

/** Progress goes to standard error. A Ctrl-C hangs up, and the server gives the build up, unless it was at its end. */
async function build(options: BuildOptions, command: Command): Promise<void> {
  const { from, fromSandbox, format, overwrite = false, platform = false } = options;
  if (from === undefined && fromSandbox === undefined)
    return command.error('error: give --from PATH or --from-sandbox ID');
  const interruption = interruptible(systemClock);
  const display = buildDisplay(systemClock);
  try {
    const client = new TemplateClient(await serverAddress(), interruption.signal);
    const source =
      from === undefined ? { sandboxId: fromSandbox ?? '' } : { upload: await openSource(from), format };
    const made = await client.build(
      source,
      { spec: specOf(options), overwrite, isPlatform: platform },
      display.show,
    );
    display.end();
    if (options.json) printJson(made);
    else print(describeTemplate(made, systemClock.nowMs()));
  } catch (error) {
    display.end();
    // An answer that was on its way when the signal came is still the answer.
    if (!interruption.signal.aborted || error instanceof ProblemError) throw error;
    say(
      `Stopped before the server answered. It gives the build up, unless that was done already: \`dormouse template get ${options.name}\` tells.`,
    );
    process.exitCode = interruption.status();
  } finally {
    interruption.end();
  }
}

/** What was given, and nothing else: the rest is the server's matter. */
function specOf(options: BuildOptions): TemplateSpec {
  const given = {
    name: options.name,
    user: options.user,
    cwd: options.cwd,
    env: options.env,
    start_cmd: options.startCmd,
    ready_cmd: options.readyCmd,
    vcpus: options.vcpus,
    memory_mb: options.memoryMb,
    disk_size_mb: options.diskSizeMb,
  };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as unknown as TemplateSpec;
}

function addList(template: Command): void {
  const command = template
    .command('list')
    .description('list the templates of the team and of the platform, by name');
  command
    .addOption(command.createOption('--kind <kind>', 'only these').choices(['base', 'snapshot']))
    .action(async (options: JsonOption & { kind?: TemplateKind }) => {
      const templates = await new TemplateClient(await serverAddress()).list(options.kind);
      if (options.json) return printJson({ templates });
      if (templates.length === 0) return say('There are no templates. `dormouse template build` makes one.');
      print(templateTable(templates, systemClock.nowMs()));
    });
  withExamples(withJson(command, 'print {"templates": […]}'), [
    ['dormouse template list', 'what sandboxes can be made from'],
    ['dormouse template list --kind snapshot', 'only what was made from sandboxes'],
  ]);
}

function addGet(template: Command): void {
  const command = template
    .command('get')
    .description('show a template: the one of the team, else the one of the platform')
    .argument('<name>', 'name of the template', templateName)
    .option('--platform', 'the one of the platform')
    .action(async (name: string, options: JsonOption & { platform?: boolean }) => {
      const found = await new TemplateClient(await serverAddress()).get(name, options.platform);
      if (options.json) printJson(found);
      else print(describeTemplate(found, systemClock.nowMs()));
    });
  withExamples(withJson(command), [['dormouse template get python', 'its sizes and commands']]);
}

function addDelete(template: Command): void {
  const command = template
    .command('delete')
    .description('delete a template of the team; refused while disks stand on its image')
    .argument('<name>', 'name of the template', templateName)
    .option('--platform', 'the one of the platform; needs a key with the scope admin')
    .action(async (name: string, options: JsonOption & { platform?: boolean }) => {
      const deleted = await new TemplateClient(await serverAddress()).delete(name, options.platform);
      if (options.json) printJson(deleted);
      else print(`${deleted.name} deleted`);
    });
  withExamples(withJson(command), [['dormouse template delete python', 'of the team']]);
}

import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { type JsonOption, sandboxId, templateName, withExamples, withJson } from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { serverAddress } from '../server-info.ts';
import { TemplateClient } from '../template-client.ts';
import { describeTemplate, templateTable } from '../template-view.ts';

/** `dormouse snapshot …`: templates that are made from sandboxes. */
export function addSnapshotCommands(program: Command): void {
  const snapshot = program.command('snapshot').description('make templates from sandboxes');
  addCreate(snapshot);
  addList(snapshot);
  addDelete(snapshot);
}

function addCreate(snapshot: Command): void {
  const command = snapshot
    .command('create')
    .description('make a template from a running or paused sandbox, which goes on as it was')
    .argument('<sandbox>', 'id of the sandbox', sandboxId)
    .requiredOption('--name <name>', 'name of the snapshot', templateName)
    .option('--no-memory', 'only the disk, which is booted; with the memory its copies wake up where it was')
    .option('--overwrite', 'replace the template of this name, if there is one')
    .action(
      async (
        sandbox_id: string,
        options: JsonOption & { name: string; memory: boolean; overwrite?: boolean },
      ) => {
        const { name, memory, overwrite = false } = options;
        const client = new TemplateClient(await serverAddress());
        const made = await client.snapshot({ sandbox_id, name, memory, overwrite });
        if (options.json) printJson(made);
        else print(describeTemplate(made, systemClock.nowMs()));
      },
    );
  withExamples(withJson(command), [
    ['dormouse snapshot create sb-abcdefghij2345678abc --name ready', 'with its memory'],
    ['dormouse sandbox create --template ready', 'wakes up where that sandbox was'],
  ]);
}

function addList(snapshot: Command): void {
  const command = snapshot
    .command('list')
    .description('list the snapshots of the team, by name')
    .action(async (options: JsonOption) => {
      const snapshots = await new TemplateClient(await serverAddress()).snapshots();
      if (options.json) return printJson({ snapshots });
      if (snapshots.length === 0) return say('There are no snapshots. `dormouse snapshot create` makes one.');
      print(templateTable(snapshots, systemClock.nowMs()));
    });
  withExamples(withJson(command, 'print {"snapshots": […]}'), [['dormouse snapshot list', 'of the team']]);
}

function addDelete(snapshot: Command): void {
  const command = snapshot
    .command('delete')
    .description('delete a snapshot; refused while disks stand on its image')
    .argument('<name>', 'name of the snapshot', templateName)
    .action(async (name: string, options: JsonOption) => {
      const deleted = await new TemplateClient(await serverAddress()).deleteSnapshot(name);
      if (options.json) printJson(deleted);
      else print(`${deleted.name} deleted`);
    });
  withExamples(withJson(command), [
    ['dormouse snapshot delete ready', 'sandboxes that were made from it stay'],
  ]);
}

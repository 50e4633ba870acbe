import type { Command } from 'commander';
import { Client } from '../client.ts';
import {
  idempotencyKey,
  type JsonOption,
  sandboxId,
  wholeNumber,
  withExamples,
  withJson,
} from '../options.ts';
import { print, printJson } from '../output.ts';
import { showSandbox } from '../sandbox-view.ts';
import { serverAddress } from '../server-info.ts';

/** `dormouse sandbox fork`: copies of a sandbox. */
export function addForkCommand(sandbox: Command): void {
  const command = sandbox
    .command('fork')
    .description('make copies of a running or paused sandbox, all or none, and wait until they run')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .option('--count <n>', 'how many', wholeNumber, 1)
    .option(
      '--idempotency-key <key>',
      'the same key makes the same copies, however often it is sent',
      idempotencyKey,
    )
    .action(async (id: string, options: JsonOption & { count: number; idempotencyKey?: string }) => {
      const client = new Client(await serverAddress());
      const sandboxes = await client.fork(id, options.count, options.idempotencyKey);
      if (options.json) return printJson({ sandboxes });
      for (const view of sandboxes) print(view.id);
    });
  withExamples(withJson(command, 'print {"sandboxes": […]}'), [
    ['dormouse sandbox fork sb-abcdefghij2345678abc --count 20', 'prints their ids'],
  ]);
}

/** `dormouse sandbox resize`: a larger disk. */
export function addResizeCommand(sandbox: Command): void {
  const command = sandbox
    .command('resize')
    .description('make the disk of a paused sandbox larger; the guest sees it when it runs again')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .requiredOption(
      '--disk-size-mb <n>',
      'new size of the root disk that the guest sees, in MiB',
      wholeNumber,
    )
    .action(async (id: string, options: JsonOption & { diskSizeMb: number }) => {
      showSandbox(await new Client(await serverAddress()).resize(id, options.diskSizeMb), options);
    });
  withExamples(withJson(command), [
    ['dormouse sandbox resize sb-abcdefghij2345678abc --disk-size-mb 40960', '40 GiB'],
  ]);
}

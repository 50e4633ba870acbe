import type { Command } from 'commander';
import { SANDBOX_STATES, type SandboxOptions, type SandboxState } from '../../actors/sandbox/protocol.ts';
import { systemClock } from '../../clock.ts';
import { Client } from '../client.ts';
import { formatAge, formatDuration, formatMib, formatTimeLeft } from '../format.ts';
import {
  idempotencyKey,
  type JsonOption,
  keyValue,
  sandboxId,
  sandboxIds,
  states,
  wholeNumber,
  withExamples,
  withJson,
} from '../options.ts';
import { print, printJson, say } from '../output.ts';
import { describeProblem, problemOf } from '../problem.ts';
import { formatMetadata, showSandbox } from '../sandbox-view.ts';
import { serverAddress } from '../server-info.ts';
import { table } from '../table.ts';
import { addExecCommand } from './exec.ts';
import { addForkCommand, addResizeCommand } from './sandbox-copies.ts';

/** `dormouse sandbox …`: sandboxes over HTTP. */
export function addSandboxCommands(program: Command): void {
  const sandbox = program.command('sandbox').description('create, use and destroy sandboxes');
  addCreate(sandbox);
  addList(sandbox);
  addGet(sandbox);
  addExecCommand(sandbox);
  addPing(sandbox);
  for (const { name, description, example } of PLAIN_COMMANDS) addPlain(sandbox, name, description, example);
  addForkCommand(sandbox);
  addResizeCommand(sandbox);
  addDestroy(sandbox);
  addTransitions(sandbox);
}

interface CreateOptions extends JsonOption, Partial<Camel> {
  idempotencyKey?: string;
}
interface Camel {
  template: string;
  vcpus: number;
  memoryMb: number;
  diskSizeMb: number;
  timeoutS: number;
  onTimeout: SandboxOptions['on_timeout'];
  autoResume: boolean;
  metadata: Record<string, string>;
}

function addCreate(sandbox: Command): void {
  const command = sandbox
    .command('create')
    .description('make a sandbox and wait until it runs; what is not given is the default of the server')
    .option('--template <name>', 'what the sandbox starts from')
    .option('--vcpus <n>', 'virtual CPUs', wholeNumber)
    .option('--memory-mb <n>', 'guest memory in MiB', wholeNumber)
    .option('--disk-size-mb <n>', 'size of the root disk that the guest sees, in MiB', wholeNumber)
    .option(
      '--timeout-s <n>',
      'seconds without activity after which --on-timeout happens; 0 for never',
      wholeNumber,
    );
  command
    .addOption(command.createOption('--on-timeout <what>', 'what happens then').choices(['pause', 'destroy']))
    .option('--auto-resume', 'let an exec on the paused sandbox resume it first')
    .option('--metadata <key=value>', 'a label of your own; may be given several times', keyValue)
    .option(
      '--idempotency-key <key>',
      'the same key makes the same sandbox, however often it is sent',
      idempotencyKey,
    )
    .action(async (options: CreateOptions) => {
      const client = new Client(await serverAddress());
      showSandbox(await client.create(createBody(options), options.idempotencyKey), options);
    });
  withExamples(withJson(command), [
    ['dormouse sandbox create', 'with the defaults'],
    [
      'dormouse sandbox create --memory-mb 1024 --timeout-s 600 --metadata user=ada',
      'pauses when unused for ten minutes',
    ],
    ['id=$(dormouse sandbox create --json | jq -r .id)', 'in a script'],
  ]);
}

function createBody(options: CreateOptions): Partial<SandboxOptions> {
  const body = {
    template: options.template,
    vcpus: options.vcpus,
    memory_mb: options.memoryMb,
    disk_size_mb: options.diskSizeMb,
    timeout_s: options.timeoutS,
    on_timeout: options.onTimeout,
    auto_resume: options.autoResume,
    metadata: options.metadata,
  };
  // JSON leaves out what is undefined, so the server fills in its own defaults.
  return body as Partial<SandboxOptions>;
}

interface ListOptions extends JsonOption {
  state?: SandboxState[];
  metadata?: Record<string, string>;
  all?: boolean;
}

function addList(sandbox: Command): void {
  const command = sandbox
    .command('list')
    .description('list sandboxes, newest first; destroyed and failed ones only when asked for')
    .option('--state <states>', 'only these states, separated by commas', states)
    .option('--metadata <key=value>', 'only those with this label; may be given several times', keyValue);
  command
    .addOption(command.createOption('--all', 'in every state').conflicts('state'))
    .action(async (options: ListOptions) => {
      const client = new Client(await serverAddress());
      const wanted = options.all ? SANDBOX_STATES : options.state;
      const sandboxes = await client.list({
        ...(wanted ? { states: wanted } : {}),
        ...(options.metadata ? { metadata: options.metadata } : {}),
      });
      if (options.json) return printJson({ sandboxes });
      if (sandboxes.length === 0) return say('There are no sandboxes. `dormouse sandbox create` makes one.');
      const nowMs = systemClock.nowMs();
      print(
        table(
          ['ID', 'STATE', 'TEMPLATE', 'VCPUS', 'MEMORY', 'DISK', 'AGE', 'TIME LEFT', 'METADATA'],
          sandboxes.map((view) => [
            view.id,
            view.step === null ? view.state : `${view.state} (${view.step})`,
            view.template,
            String(view.vcpus),
            formatMib(view.memory_mb),
            formatMib(view.disk_size_mb),
            formatAge(view.created_at, nowMs),
            formatTimeLeft(view.expires_at, nowMs),
            formatMetadata(view),
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"sandboxes": […]}'), [
    ['dormouse sandbox list --state running,paused', 'only those'],
    ['dormouse sandbox list --metadata user=ada --json', 'as JSON, with a label'],
  ]);
}

function addGet(sandbox: Command): void {
  const command = sandbox
    .command('get')
    .description('show a sandbox')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .action(async (id: string, options: JsonOption) => {
      showSandbox(await new Client(await serverAddress()).get(id), options);
    });
  withExamples(withJson(command), [
    ['dormouse sandbox get sb-abcdefghij2345678abc', 'its state, sizes and last error'],
  ]);
}

const PLAIN_COMMANDS = [
  {
    name: 'pause',
    description: 'save memory and disk and stop the virtual machine',
    example: 'it takes no memory and no CPU from then on',
  },
  {
    name: 'resume',
    description: 'load a paused sandbox; its programs go on where they were',
    example: 'go on',
  },
  {
    name: 'restart',
    description:
      'boot a running, paused or crashed sandbox anew on the same disk; a paused one loses its saved memory for good',
    example: 'its files stay; what was in memory is lost, and programs start anew',
  },
] as const;

function addPlain(
  sandbox: Command,
  name: (typeof PLAIN_COMMANDS)[number]['name'],
  description: string,
  example: string,
): void {
  const command = sandbox
    .command(name)
    .description(description)
    .argument('<id>', 'id of the sandbox', sandboxId)
    .action(async (id: string, options: JsonOption) => {
      showSandbox(await new Client(await serverAddress()).command(id, name), options);
    });
  withExamples(withJson(command), [[`dormouse sandbox ${name} sb-abcdefghij2345678abc`, example]]);
}

function addPing(sandbox: Command): void {
  const command = sandbox
    .command('ping')
    .description('extend the time until --on-timeout happens')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .option('--timeout-s <n>', 'new timeout in seconds; 0 for never', wholeNumber)
    .action(async (id: string, options: JsonOption & { timeoutS?: number }) => {
      const body = options.timeoutS === undefined ? {} : { timeout_s: options.timeoutS };
      showSandbox(await new Client(await serverAddress()).command(id, 'ping', body), options);
    });
  withExamples(withJson(command), [
    ['dormouse sandbox ping sb-abcdefghij2345678abc --timeout-s 3600', 'keep it for another hour'],
  ]);
}

function addDestroy(sandbox: Command): void {
  const command = sandbox
    .command('destroy')
    .description('remove sandboxes with all that they hold; one that fails does not stop the others')
    .argument('<ids...>', 'ids of the sandboxes', sandboxIds)
    .action(async (ids: string[], options: JsonOption) => {
      const client = new Client(await serverAddress());
      for (const id of ids) {
        try {
          const view = await client.destroy(id);
          if (options.json) printJson(view);
          else print(`${id} ${view.state}`);
        } catch (error) {
          process.exitCode = 1;
          const problem = problemOf(error);
          if (options.json) printJson({ id, ...problem });
          for (const line of describeProblem(problem)) say(`${id}: ${line}`);
        }
      }
    });
  withExamples(
    withJson(command, 'print one JSON line for each sandbox: the sandbox, or the problem with its id'),
    [
      ['dormouse sandbox destroy sb-abcdefghij2345678abc sb-bcdefghij2345678abca', 'two of them'],
      [
        "dormouse sandbox list --json | jq -r '.sandboxes[].id' | xargs -r dormouse sandbox destroy",
        'all of them',
      ],
    ],
  );
}

function addTransitions(sandbox: Command): void {
  const command = sandbox
    .command('transitions')
    .description('show what happened to a sandbox, oldest first')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .action(async (id: string, options: JsonOption) => {
      const transitions = await new Client(await serverAddress()).transitions(id);
      if (options.json) return printJson({ transitions });
      print(
        table(
          ['SEQ', 'AT', 'STATE', 'CAUSE', 'STEP', 'STEP TIME', 'ERROR'],
          transitions.map((transition) => [
            String(transition.seq),
            transition.at,
            transition.to,
            transition.cause,
            transition.step ?? '-',
            transition.step_duration_ms === null ? '-' : formatDuration(transition.step_duration_ms),
            transition.error === null ? '-' : `${transition.error.code}: ${transition.error.detail}`,
          ]),
        ),
      );
    });
  withExamples(withJson(command, 'print {"transitions": […]}'), [
    ['dormouse sandbox transitions sb-abcdefghij2345678abc', 'each step with its time'],
  ]);
}

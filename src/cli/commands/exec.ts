import type { Command } from 'commander';
import type { ExecReply, ExecRequest } from '../../actors/sandbox/protocol.ts';
import { Client } from '../client.ts';
import { statusOf } from '../interrupt.ts';
import { keyValue, sandboxId, seconds, withExamples, withJson } from '../options.ts';
import { printJson, say, writeBytes } from '../output.ts';
import { hasProblemCode } from '../problem.ts';
import { serverAddress } from '../server-info.ts';
import { readStdin } from '../stdin.ts';

interface ExecOptions {
  cwd?: string;
  env?: Record<string, string>;
  user?: string;
  timeoutS?: number;
  stdin: boolean;
  json?: boolean;
}

/** Statuses as timeout(1) and the shell use them. */
const STATUS_TIMED_OUT = 124;
const STATUS_NOT_EXECUTABLE = 126;
const STATUS_NOT_FOUND = 127;

/** `exec <id> -- program …`, which behaves as the program does: its streams and its exit status. */
export function addExecCommand(parent: Command): void {
  const command = parent
    .command('exec')
    .description('run a program in a sandbox as if it ran here')
    .argument('<id>', 'id of the sandbox', sandboxId)
    .argument('<command...>', 'program and its arguments, after --')
    .option('--cwd <path>', 'working directory in the sandbox')
    .option('--env <key=value>', 'environment variable; may be given several times', keyValue)
    .option('--user <name>', 'user in the sandbox; root when absent')
    .option('--timeout-s <n>', 'kill the program after this many seconds (60 when absent)', seconds)
    .option('-n, --no-stdin', 'do not read standard input')
    .action(async (id: string, argv: string[], options: ExecOptions) => {
      await runExec(id, argv, options);
    });
  withJson(command, 'print the result with its outputs as one JSON document instead');
  withExamples(command, [
    ['dormouse exec sb-abcdefghij2345678abc -- uname -a', 'a program and its arguments'],
    ["dormouse exec sb-abcdefghij2345678abc -- sh -c 'echo $HOME | wc -c'", 'a line for the shell'],
    ['tar c src | dormouse exec sb-abcdefghij2345678abc --cwd /srv -- tar x', 'with standard input'],
  ]);
  command.addHelpText(
    'after',
    `
Unless it is a terminal, standard input is read to its end and then sent, so a
program that is started with an open pipe waits for it: see --no-stdin.

Exit status: that of the program; 128+n when signal n ended it; 124 when it took
too long; 126 when it cannot be executed; 127 when it was not found; 1 when
Dormouse could not run it.`,
  );
}

async function runExec(id: string, argv: string[], options: ExecOptions): Promise<void> {
  const client = new Client(await serverAddress());
  const request: ExecRequest = {
    argv,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.timeoutS === undefined ? {} : { timeout_s: options.timeoutS }),
    ...(options.stdin ? await readStdin() : {}),
  };
  try {
    const reply = options.json
      ? await client.exec(id, request)
      : await client.execStreamed(id, request, writeBytes);
    if (options.json) printJson(reply);
    reportLosses(reply);
    process.exitCode = statusOfReply(reply);
  } catch (error) {
    if (hasProblemCode(error, 'EXEC_NOT_FOUND')) process.exitCode = STATUS_NOT_FOUND;
    if (hasProblemCode(error, 'EXEC_NOT_EXECUTABLE')) process.exitCode = STATUS_NOT_EXECUTABLE;
    throw error;
  }
}

function statusOfReply(reply: ExecReply): number {
  if (reply.timed_out) return STATUS_TIMED_OUT;
  if (reply.signal !== null) return statusOf(reply.signal);
  return reply.exit_code ?? 1;
}

/** Says on standard error what the program's output and status cannot tell. */
function reportLosses(reply: ExecReply): void {
  if (reply.timed_out)
    say('dormouse: the program took too long and was killed (--timeout-s sets how long it may take)');
  for (const stream of ['stdout', 'stderr'] as const)
    if (reply[`${stream}_truncated`]) say(`dormouse: ${stream} was larger than the limit and was cut`);
}

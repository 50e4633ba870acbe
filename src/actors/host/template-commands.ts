import type { Clock } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';
import { newCommandId } from '../../ids.ts';
import type { ExecReply, ExecRequest } from '../sandbox/protocol.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { TemplateFile } from './template-file.ts';

/** Runs a template's start and ready command in a sandbox that is about to be saved. */

/** How long a template may take to get ready, in milliseconds. */
const READY_LIMIT_MS = 300_000;
/** Between two tries of the ready command, in milliseconds. */
const TRY_MS = 500;
/** How long one try may take, in seconds. */
const TRY_LIMIT_S = 60;
/** How long a start command without a ready command is watched for an early failure, in milliseconds. */
const WATCH_MS = 1_000;
/** As much of what a command printed as an error keeps. */
const OUTPUT_CHARACTERS = 2_000;
/** As much of its last line as is told in a sentence. */
const LINE_CHARACTERS = 300;

/** In the guest: what the start command prints, and the status that it ended with, if it did. */
const FOLDER = '/run/dormouse';
const LOG_FILE = `${FOLDER}/start.log`;
const STATUS_FILE = `${FOLDER}/start.status`;

/** $1: who runs the start command. */
const PREPARE = `mkdir -p ${FOLDER} && : >${LOG_FILE} && rm -f ${STATUS_FILE} && chown "$1" ${FOLDER} ${LOG_FILE}`;
/**
 * $1: the start command. It has a session of its own, so that it outlives the exec that starts it, and nothing of that exec open.
 * Shells without `setsid` start a background job that nobody signals either.
 */
const START = `
run='/bin/sh -c "$1"; echo $? >${STATUS_FILE}'
if command -v setsid >/dev/null 2>&1; then
  setsid /bin/sh -c "$run" start "$1" </dev/null >${LOG_FILE} 2>&1 &
else
  /bin/sh -c "$run" start "$1" </dev/null >${LOG_FILE} 2>&1 &
fi`;
/** Fails, and prints the log, when the start command has ended with a failure. */
const LOOK = `status=$(cat ${STATUS_FILE} 2>/dev/null || echo 0); [ "$status" = 0 ] && exit 0; tail -c ${OUTPUT_CHARACTERS} ${LOG_FILE}; exit "$status"`;

export interface CommandsContext {
  clock: Clock;
  signal: AbortSignal;
  /** Called with what a person may want to know. */
  said(message: string): void;
}

/**
 * Starts the start command, which goes on in the background, and then tries the ready command until it succeeds.
 *
 * @throws `TEMPLATE_NOT_READY`, with the end of the output, when the start command fails or the ready command does not succeed in
 * five minutes; what `Sandbox.exec` throws
 */
export async function runTemplateCommands(
  sandbox: Sandbox,
  file: Pick<TemplateFile, 'name' | 'user' | 'start_cmd' | 'ready_cmd'>,
  context: CommandsContext,
): Promise<void> {
  const { clock, signal, said } = context;
  const deadlineMs = clock.monotonicMs() + READY_LIMIT_MS;
  const run = (request: ExecRequest): Promise<ExecReply> =>
    sandbox.exec(request, {
      commandId: newCommandId(),
      deadlineMs: clock.nowMs() + READY_LIMIT_MS,
      signal,
    });
  const inShell = (script: string, ...args: string[]): Promise<ExecReply> =>
    run({ argv: ['/bin/sh', '-c', script, 'start', ...args] });
  /** Throws when the start command has failed. */
  const look = async (): Promise<void> => {
    if (file.start_cmd === null) return;
    const seen = await inShell(LOOK);
    if (seen.exit_code !== 0) throw notReady(file.name, 'start_cmd failed', seen);
  };

  if (file.start_cmd !== null) {
    const prepared = await run({
      argv: ['/bin/sh', '-c', PREPARE, 'start', file.user ?? 'root'],
      user: 'root',
      cwd: '/',
    });
    if (prepared.exit_code !== 0) throw notReady(file.name, 'start_cmd could not be started', prepared);
    const started = await inShell(START, file.start_cmd);
    if (started.exit_code !== 0) throw notReady(file.name, 'start_cmd could not be started', started);
    said('start_cmd runs');
  }
  if (file.ready_cmd === null) {
    if (file.start_cmd !== null) await clock.sleep(WATCH_MS, signal);
    return await look();
  }
  for (let tries = 1; ; tries += 1) {
    const left = Math.max(1, Math.min(TRY_LIMIT_S, (deadlineMs - clock.monotonicMs()) / 1000));
    const reply = await run({ cmd: file.ready_cmd, timeout_s: left });
    if (reply.exit_code === 0) return said(`ready_cmd succeeded at try ${tries}`);
    await look();
    if (clock.monotonicMs() >= deadlineMs)
      throw notReady(
        file.name,
        `ready_cmd did not succeed in ${READY_LIMIT_MS / 1000} s, in ${tries} tries`,
        reply,
      );
    await clock.sleep(TRY_MS, signal);
  }
}

/** Codes of failures that say it themselves, or that are the host's. */
const KEPT: ReadonlySet<string> = new Set([
  'TEMPLATE_NOT_READY',
  'DISK_FULL',
  'HOST_DRAINING',
  'NO_HOST_AVAILABLE',
  'INVALID_SIZE',
]);

/** That a sandbox of the template does not boot, or does not take commands, as the template's failure. */
export function notReadyBecause(name: string, error: unknown): unknown {
  if (!(error instanceof DormouseError) || KEPT.has(error.code)) return error;
  return new DormouseError('TEMPLATE_NOT_READY', `No sandbox of "${name}" gets ready: ${error.detail}`, {
    data: { template: name, code: error.code, output: '' },
    cause: error,
  });
}

function notReady(name: string, what: string, { exit_code, stdout, stderr }: ExecReply): DormouseError {
  const output = `${stdout}${stderr}`.slice(-OUTPUT_CHARACTERS);
  const lastLine = output.trim().split('\n').at(-1) ?? '';
  return new DormouseError(
    'TEMPLATE_NOT_READY',
    `No sandbox of "${name}" gets ready: ${what}. ${lastLine === '' ? 'It printed nothing.' : `Last it printed: ${lastLine.slice(-LINE_CHARACTERS)}`}`,
    { data: { template: name, exit_code, output } },
  );
}

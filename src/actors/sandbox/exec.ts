import { createHash } from 'node:crypto';
import type { GuestExecRequest, GuestExecResult } from '../../drivers/guest/types.ts';
import { DormouseError } from '../../errors/index.ts';
import type { ExecDefaults } from './context.ts';
import { type ExecReply, type ExecRequest, MAX_OUTPUT_BYTES, MAX_STDIN_BYTES } from './protocol.ts';

/** Between the words of the protocol and those of the guest kit. */

const DEFAULT_TIMEOUT_S = 60;

/**
 * @param defaults what holds where the request says nothing; of the environment, name by name
 * @throws `INVALID_REQUEST` unless exactly one of `cmd` and `argv` is there and `stdin` is what its encoding says
 */
export function guestRequestOf(
  body: ExecRequest,
  commandId: string,
  defaults: ExecDefaults = {},
): GuestExecRequest {
  if ((body.cmd === undefined) === (body.argv === undefined)) {
    throw new DormouseError(
      'INVALID_REQUEST',
      'Give exactly one of "cmd" (a shell command) and "argv" (a program and its arguments).',
      { data: { field: 'cmd' } },
    );
  }
  const argv = body.argv ?? ['/bin/sh', '-c', body.cmd ?? ''];
  if (argv.some((argument) => argument.includes('\0')))
    throw new DormouseError('INVALID_REQUEST', 'An argument cannot contain a NUL character.', {
      data: { field: 'argv' },
    });
  const stdin = body.stdin === undefined ? undefined : decode(body.stdin, body.stdin_encoding ?? 'utf8');
  return {
    // The command's id names the program in the guest: the same command attaches to it again.
    execId: createHash('sha256').update(commandId).digest('hex').slice(0, 32),
    argv,
    cwd: body.cwd ?? defaults.cwd,
    env: defaults.env ? { ...defaults.env, ...body.env } : body.env,
    user: body.user ?? defaults.user,
    stdin,
    timeoutMs: Math.ceil((body.timeout_s ?? DEFAULT_TIMEOUT_S) * 1000),
    outputLimitBytes: MAX_OUTPUT_BYTES,
  };
}

/** The guest's result in the words of the protocol. */
export function replyOf(result: GuestExecResult): ExecReply {
  const stdout = encode(result.stdout);
  const stderr = encode(result.stderr);
  return {
    exit_code: result.exitCode,
    signal: result.signal,
    timed_out: result.timedOut,
    stdout: stdout.text,
    stdout_encoding: stdout.encoding,
    stdout_truncated: result.stdoutTruncated,
    stderr: stderr.text,
    stderr_encoding: stderr.encoding,
    stderr_truncated: result.stderrTruncated,
    duration_ms: result.durationMs,
  };
}

function decode(text: string, encoding: 'utf8' | 'base64'): Uint8Array {
  if (encoding === 'base64' && !isBase64(text))
    throw new DormouseError('INVALID_REQUEST', '"stdin" is not base64.', { data: { field: 'stdin' } });
  const bytes = Buffer.from(text, encoding);
  if (bytes.length > MAX_STDIN_BYTES)
    throw new DormouseError(
      'PAYLOAD_TOO_LARGE',
      `"stdin" has ${bytes.length} bytes; the limit is ${MAX_STDIN_BYTES}.`,
    );
  return bytes;
}

/** RFC 4648, section 4; padding may be left out. A single character over whole groups of four has lost something. */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.replace(/=+$/, '').length % 4 !== 1;
}

/** Text as it is when the bytes are valid UTF-8, so that most outputs can be read; base64 otherwise, so that none is damaged. */
function encode(bytes: Uint8Array): { text: string; encoding: 'utf8' | 'base64' } {
  try {
    return {
      text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
      encoding: 'utf8',
    };
  } catch {
    return { text: Buffer.from(bytes).toString('base64'), encoding: 'base64' };
  }
}

import type { ExecReply } from '../../src/actors/sandbox/protocol.ts';

/** What an exec answers that ended well. */
export const execReply: ExecReply = {
  exit_code: 0,
  signal: null,
  timed_out: false,
  stdout: '',
  stdout_encoding: 'utf8',
  stdout_truncated: false,
  stderr: '',
  stderr_encoding: 'utf8',
  stderr_truncated: false,
  duration_ms: 1,
};

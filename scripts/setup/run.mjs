// @ts-check
import { spawnSync } from 'node:child_process';

/** What stops a set-up in a way that a person can repair. Its message is all that is shown. */
export class SetupError extends Error {}

const SHOWN_LINES = 20;
const MAX_OUTPUT_BYTES = 256 * 2 ** 20;

/**
 * Runs a program to its end and returns what it wrote to standard output.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, input?: Buffer }} [options] `env` is added to this process's own
 * @returns {Buffer}
 * @throws {SetupError} with the command and the end of its output when it fails
 */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? {} : { input: options.input }),
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  if (result.error === undefined && result.status === 0) return result.stdout;
  const why =
    result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit ${result.status}`);
  // Standard output can be data.
  const output = result.stderr?.length ? result.stderr : (result.stdout ?? '');
  const lines = output.toString().trimEnd().split('\n').slice(-SHOWN_LINES);
  throw new SetupError(`${[program, ...args].join(' ')} failed (${why}):\n  ${lines.join('\n  ')}`);
}

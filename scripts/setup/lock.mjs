// @ts-check
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from './run.mjs';

/**
 * Waits for the lock of a file and holds it until `release`. The kernel's lock belongs to a child that ends when its
 * input does, so it is given back however this process ends.
 *
 * @param {string} file made when it is not there
 * @param {() => void} waiting called once when another process holds the lock
 * @throws {SetupError} when the folder cannot be written
 * @returns {Promise<{ release: () => Promise<void> }>}
 */
export async function lockFile(file, waiting) {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    accessSync(path.dirname(file), constants.W_OK);
  } catch (error) {
    throw new SetupError(`This user cannot write to ${path.dirname(file)}.`, { cause: error });
  }
  const atOnce = await hold(['--nonblock', file]);
  if (atOnce) return atOnce;
  waiting();
  const later = await hold([file]);
  if (later) return later;
  throw new Error(`flock ended before it had the lock ${file}`);
}

/**
 * @param {readonly string[]} flockArgs
 * @returns {Promise<{ release: () => Promise<void> } | undefined>} undefined when flock ended without the lock
 */
async function hold(flockArgs) {
  // cat answers with the line only after flock has the lock, and ends with its input.
  const holder = spawn('flock', ['--exclusive', ...flockArgs, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => {
    holder.once('close', resolve);
    holder.once('error', reject);
  });
  const answered = new Promise((resolve) => holder.stdout.once('data', () => resolve('locked')));
  // flock that does not get the lock closes its input before the line was written.
  holder.stdin.on('error', () => {});
  holder.stdin.write('\n');
  if ((await Promise.race([answered, ended])) !== 'locked') return undefined;
  return {
    async release() {
      holder.stdin.end();
      await ended;
    },
  };
}

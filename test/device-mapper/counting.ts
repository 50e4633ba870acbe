import type { Test } from 'tap';
import { newSandboxId } from '../../src/ids.ts';
import { type HostLab, SHAPE } from './host-lab.ts';

/** Sandboxes in which a program counts: what it does shows whether their memory is what it was. */

const COUNTER =
  '(while :; do i=$((i+1)); echo $i > /run/count; sleep 0.1; done) > /dev/null 2>&1 & echo $! > /run/pid';

export interface CountingLab {
  /** Runs a command in the sandbox and gives what it printed. */
  exec(id: string, cmd: string): Promise<string>;
  /** A sandbox that counts in memory; what it wrote to its disk is partly in the guest's page cache only. */
  counting(t: Test): Promise<string>;
  /** A sandbox of a template. The test's teardown destroys it. */
  made(t: Test, template: string): Promise<string>;
  /** Fails unless the program that counts goes on. */
  goesOn(t: Test, id: string): Promise<void>;
}

export function countingLab(lab: HostLab): CountingLab {
  const exec = async (id: string, cmd: string): Promise<string> =>
    (await lab.host().ask<{ stdout: string }>('exec', { id, cmd })).stdout.trim();
  return {
    exec,
    async counting(t) {
      const id = await lab.sandbox(t);
      await exec(id, `${COUNTER}; echo not synced > /late`);
      return id;
    },
    async made(t, template) {
      const id = newSandboxId();
      lab.forget(t, id);
      await lab.host().ask('create', { id, ...SHAPE, template });
      return id;
    },
    async goesOn(t, id) {
      const [first, second] = (
        await exec(id, 'kill -0 $(cat /run/pid) && cat /run/count; sleep 1; cat /run/count')
      )
        .split('\n')
        .map(Number);
      t.ok(Number(second) > Number(first), `it goes on counting: ${first}, ${second}`);
    },
  };
}

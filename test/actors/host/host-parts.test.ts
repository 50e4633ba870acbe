import t from 'tap';
import { NOTHING_FOUND } from '../../../src/actors/host/host-options.ts';
import { type Parts, STOP_LIMIT_MS, stepsOf } from '../../../src/actors/host/host-parts.ts';
import type { HostContext } from '../../../src/actors/host/machine.ts';
import type { SandboxDrivers } from '../../../src/actors/sandbox/drivers.ts';
import type { StepEnvironment } from '../../../src/actors/system/step.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';

t.test('a part that is late does not keep the others from ending, and is told', async (t) => {
  const clock = fakeClock();
  const ended: string[] = [];
  const part = (name: string, stop = async (): Promise<void> => {}) => ({
    stop: async (): Promise<void> => {
      ended.push(name);
      await stop();
    },
  });
  const parts = {
    watch: part('watch', () => Promise.reject(new Error('no watch'))),
    janitor: part('janitor'),
    builder: part('builder'),
    warm: part('warm', () => new Promise(() => {})),
    uploads: part('uploads'),
    sandboxes: part('sandboxes', () => new Promise(() => {})),
  } as unknown as Parts;
  const drivers = {
    network: part('network'),
    vmm: { close: part('vmm').stop },
    // What is used of the drivers here.
  } as unknown as SandboxDrivers;
  const { letGo } = stepsOf({ drivers, ports: { clock, log: quiet } }, parts, { ...NOTHING_FOUND });
  const environment = { log: quiet, signal: new AbortController().signal } as unknown as StepEnvironment;
  let isOver = false;
  const done = Promise.resolve(letGo?.run({} as HostContext, environment)).finally(() => (isOver = true));
  const startedMs = clock.nowMs();
  const driven = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = clock.armed();
      if (next !== undefined) clock.advance(next);
    }
  })();
  await t.rejects(done, { message: 'no watch' });
  await driven;
  t.same(ended, ['watch', 'janitor', 'builder', 'warm', 'uploads', 'sandboxes', 'network', 'vmm']);
  t.ok(clock.nowMs() - startedMs < STOP_LIMIT_MS, 'and all of it is over in time');
});

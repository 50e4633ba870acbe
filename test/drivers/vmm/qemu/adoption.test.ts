import { once } from 'node:events';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { argumentsOf } from '../../../../src/drivers/vmm/qemu/proc.ts';
import type { VmExit, VmRef } from '../../../../src/drivers/vmm/types.ts';
import { consoleSays, limit, nextTick, startLab } from '../../../support/machines.ts';
import { until } from '../../../support/nats.ts';

const AGENT = path.join(import.meta.dirname, '..', '..', '..', 'support', 'vmm-agent.ts');
const lab = await startLab(t);

t.test('a machine outlives its agent, and the next one finds, watches and saves it', async (t) => {
  const { spec, live } = await lab.machine();
  const agent = execa(process.execPath, [AGENT, JSON.stringify(spec)], { reject: false, buffer: false });
  const [line] = await once(agent.stdout.setEncoding('utf8'), 'data', { signal: limit() });
  const started = JSON.parse(line) as VmRef;
  agent.kill('SIGKILL');
  await agent;

  const driver = lab.driver();
  t.same(await driver.find(spec.sandboxId, spec.runDir), started);
  t.same(await driver.list(lab.dir), [started]);
  const exits: VmExit[] = [];
  driver.watch(started, (exit) => exits.push(exit));
  t.equal(await driver.status(started, limit()), 'running');
  const before = await nextTick(driver, started);
  await driver.freeze(started, limit());
  await driver.save(started, live, limit());
  await driver.discardSave(live);
  await driver.thaw(started, limit());
  t.ok((await nextTick(driver, started)) > before);

  // One that lets go leaves the machine to the next.
  await driver.close();
  const next = lab.driver();
  t.equal(await next.status(started, limit()), 'running');
  next.watch(started, (exit) => exits.push(exit));
  await consoleSays(next, started, /tick/);
  process.kill(started.pid, 'SIGKILL');
  await until(() => exits.length > 0, 'the watch of a machine that is no child');
  t.match(exits, [{ reason: 'killed' }]);
  t.equal(await next.status(started, limit()), 'gone');
  t.equal(await next.find(spec.sandboxId, spec.runDir), undefined);
  await next.stop(started, 1_000, limit());
});

t.test(
  'a process of somebody else is no machine, whatever its arguments say',
  process.getuid?.() === 0 ? {} : { skip: 'only root can start one as another user' },
  async (t) => {
    const { spec } = await lab.machine();
    const monitor = `unix:${path.join(spec.runDir, 'qmp.sock')},server=on,wait=off`;
    const poser = (uid: number) => {
      const child = execa('sh', ['-c', 'read line', 'sh', '-qmp', monitor], {
        uid,
        reject: false,
        stdin: 'pipe',
      });
      t.teardown(() => child.kill('SIGKILL'));
      return child;
    };
    const driver = lab.driver();
    const ours = poser(0);
    await until(async () => (await driver.list(lab.dir)).length === 1, 'one of ours is taken for a machine');
    const theirs = poser(65_534);
    await until(async () => (await argumentsOf(theirs.pid ?? 0)).includes(monitor), 'theirs has begun');
    ours.kill('SIGKILL');
    await ours;
    t.same(await driver.list(lab.dir), []);
  },
);

t.test('a machine that was never recorded is stopped by its run folder', async (t) => {
  const { spec } = await lab.machine();
  const agent = execa(process.execPath, [AGENT, JSON.stringify(spec)], { reject: false, buffer: false });
  await once(agent.stdout, 'data', { signal: limit() });
  agent.kill('SIGKILL');
  await agent;
  const driver = lab.driver();
  await driver.stop({ sandboxId: spec.sandboxId, runDir: spec.runDir }, 2_000, limit());
  t.equal(await driver.find(spec.sandboxId, spec.runDir), undefined);
});

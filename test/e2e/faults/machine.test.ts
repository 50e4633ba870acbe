import t, { type Test } from 'tap';
import { qmpSocket } from '../../../src/drivers/vmm/qemu/command-line.ts';
import { QmpClient } from '../../../src/drivers/vmm/qemu/qmp.ts';
import { pathsOf, sandboxPaths } from '../../../src/paths.ts';
import { monitorsIn } from '../../support/host-lab.ts';
import { atRest, type HostView } from '../../support/host-process.ts';
import { type Place, placesOf } from '../../support/kill-places.ts';
import { DISK_ONLY, MarkedGuest, WHOLE } from '../../support/marked-guest.ts';
import { SHAPE, smallHost } from './support.ts';

/** A virtual machine that is killed, stands still, or ends by itself. Its disk is kept, and it is said what happened. */

t.setTimeout(600_000);

/** How long the guest has to answer, in seconds: what stands still is given up after that. */
const GUEST_TIMEOUT_S = 20;

const lab = await smallHost(t, { DORMOUSE_GUEST_TIMEOUT_S: String(GUEST_TIMEOUT_S) });
const guest = new MarkedGuest(lab, SHAPE);
await lab.host().ask('warm', { ...SHAPE });

async function send(signal: NodeJS.Signals): Promise<void> {
  process.kill(await guest.monitor(), signal);
}

/** Stops the vCPUs, while no host is there that would mind. */
async function freeze(): Promise<void> {
  const { run } = sandboxPaths(pathsOf(lab.dataDir), guest.id);
  const signal = AbortSignal.timeout(GUEST_TIMEOUT_S * 1000);
  const monitor = await QmpClient.connect(qmpSocket(run), signal);
  await monitor.execute('stop', undefined, signal);
  monitor.close();
}

/** How a command ended: `done`, or the code of its error. */
async function outcome(running: Promise<unknown>): Promise<string> {
  return await running.then(
    () => 'done',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}

/** Waits until the machine that is gone was noticed, and checks that the disk is kept: a restart boots it again. */
async function crashed(t: Test, reason: RegExp): Promise<void> {
  const view = await lab.host().until(guest.id, (now) => now?.state === 'crashed' && now.step === null);
  t.match(view?.last_error, { code: 'VMM_GONE', detail: reason }, String(reason));
  t.same(await lab.disagreements(), [], 'all agree');
  t.equal((await guest.command('restart')).state, 'running');
  t.equal(await guest.content(), DISK_ONLY, 'the disk is kept');
}

t.test('killed while it runs', async (t) => {
  await guest.running();
  await send('SIGKILL');
  await crashed(t, /\(killed\).*SIGKILL.*restart boots it again/);
});

t.test('killed while it runs, and another host than the one that started it watches', async (t) => {
  await guest.running();
  await lab.host().kill();
  await freeze();
  await lab.restart();
  t.equal(await guest.content(), WHOLE, 'the host that watches it now has made sure that it runs');
  await send('SIGKILL');
  await crashed(t, /\(killed\)/);
});

t.test('killed while no host is there', async (t) => {
  await guest.running();
  await lab.host().kill();
  await send('SIGKILL');
  await lab.restart();
  await crashed(t, /the process was gone/);
});

t.test('the kernel of the guest panics', async (t) => {
  await guest.running();
  t.equal(await outcome(guest.exec('echo c > /proc/sysrq-trigger')), 'EXEC_INTERRUPTED');
  await crashed(t, /\(guest-panic\)/);
});

t.test('the guest powers itself off', async (t) => {
  await guest.running();
  await outcome(guest.exec('poweroff -f'));
  await crashed(t, /\(guest-shutdown\)/);
});

for (const name of ['pause', 'resume'] as const) {
  t.test(`killed in the middle of: ${name}`, async (t) => {
    const prepare = (): Promise<void> => (name === 'pause' ? guest.running() : guest.paused());
    await prepare();
    const places = await placesOf(lab, () => guest.command(name));
    const ends: Record<string, number> = {};
    for (const place of places) {
      await prepare();
      const killed = await killAt(place, name);
      if (!killed) continue;
      const { answer, view } = killed;
      const where = `${name}, ${place.point} ${place.nth}: ${answer}, ${view.state}`;
      t.match(view.state, /^(paused|crashed)$/, where);
      t.same(await lab.disagreements(), [], `${where}: all agree`);
      await guest.command(view.state === 'paused' ? 'resume' : 'restart');
      t.equal(await guest.content(), view.state === 'paused' ? WHOLE : DISK_ONLY, where);
      ends[`${answer}, ${view.state}`] = (ends[`${answer}, ${view.state}`] ?? 0) + 1;
    }
    t.comment(JSON.stringify(ends));
    t.ok(Object.keys(ends).length > 1, 'some were finished and some were not');
  });
}

/** Kills the machine while the host stands still at the place. Undefined when there is no machine at that place. */
async function killAt(
  { point, nth }: Place,
  name: string,
): Promise<{ answer: string; view: HostView } | undefined> {
  await lab.arm({ point, nth, action: 'hang' });
  const answer = outcome(guest.command(name));
  await lab.host().hangs();
  const pid = await guest.monitor().catch(() => undefined);
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  lab.host().goOn();
  const ended = { answer: await answer };
  const view = await lab.host().until(
    guest.id,
    // A wreck that is being cleared still holds something.
    (now) => atRest(now) && !now?.step && (pid === undefined || now?.state !== 'running'),
  );
  return pid === undefined || view === null ? undefined : { ...ended, view };
}

t.test('stopped for a moment: a pause waits for it', async (t) => {
  await guest.running();
  await send('SIGSTOP');
  const answer = outcome(guest.command('pause'));
  await lab.host().until(guest.id, (view) => view?.step === 'freezing');
  await send('SIGCONT');
  t.equal(await answer, 'done');
  await guest.command('resume');
  t.equal(await guest.content(), WHOLE);
});

t.test('stopped for longer than a pause waits: it is rolled back, and the guest goes on', async (t) => {
  await guest.running();
  await send('SIGSTOP');
  const answer = outcome(guest.command('pause'));
  await lab.host().until(guest.id, (view) => view?.step === 'thawing');
  await send('SIGCONT');
  t.equal(await answer, 'STEP_TIMEOUT');
  t.match(await guest.view(), { state: 'running', last_error: { code: 'STEP_TIMEOUT' } });
  t.equal(await guest.content(), WHOLE);
  t.equal((await guest.command('pause')).state, 'paused', 'the next pause works');
  await guest.command('resume');
  t.equal(await guest.content(), WHOLE);
});

t.test('stopped for good: a pause gives it up, and its disk is kept', async (t) => {
  await guest.running();
  await send('SIGSTOP');
  const started = Date.now();
  t.equal(await outcome(guest.command('pause')), 'STEP_TIMEOUT');
  t.comment(`a pause of a machine that stands still ends after ${Date.now() - started} ms`);
  const view = await lab.host().until(guest.id, (now) => now?.state === 'crashed' && now.step === null);
  t.equal(view?.last_error?.code, 'STEP_TIMEOUT');
  t.same(await lab.disagreements(), [], 'all agree');
  await guest.command('restart');
  t.equal(await guest.content(), DISK_ONLY);
});

t.test('stopped while it is resumed: it is paused as before', async (t) => {
  await guest.running();
  await guest.command('pause');
  await lab.arm({ point: 'restoreVm done', action: 'hang' });
  const answer = outcome(guest.command('resume'));
  await lab.host().hangs();
  await send('SIGSTOP');
  lab.host().goOn();
  t.match(await answer, /^(STEP_TIMEOUT|GUEST_UNREACHABLE)$/);
  t.equal((await guest.view())?.state, 'paused');
  t.same(await lab.disagreements(), [], 'all agree');
  await guest.command('resume');
  t.equal(await guest.content(), WHOLE);
});

t.test('stopped: it can be destroyed', async (t) => {
  await guest.running();
  await send('SIGSTOP');
  await guest.command('destroy');
  await lab.host().until(guest.id, (view) => view === null);
  t.same(await monitorsIn(lab.dataDir), []);
  t.same(await lab.disagreements(), [], 'nothing is left');
});

import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { SLOTS_MAX, slotOf } from '../../../src/drivers/network/namespace/layout.ts';
import { isMade, isVacant, makeSlot, removeSlot } from '../../../src/drivers/network/namespace/plumbing.ts';
import type { Slot } from '../../../src/drivers/network/types.ts';
import { testHostId, testNetwork } from '../../support/network.ts';

const signal = new AbortController().signal;
const none: ReadonlySet<string> = new Set();

/**
 * Whether nothing is left of a slot that was given back. Another host of the machine may have its number by now; that
 * one's file is there before its namespace is, so a namespace without a file is a leak.
 */
async function isGone(hostId: string, slot: Slot): Promise<boolean> {
  if (await isVacant(slot)) return true;
  const entry = await readFile(`/run/dormouse/slots/${slot.number}.json`, 'utf8').catch(() => undefined);
  return entry !== undefined && JSON.parse(entry).hostId !== hostId;
}

t.test('the life of a slot', async (t) => {
  const hostId = testHostId();
  const driver = testNetwork(t, 2, hostId);
  await driver.start(none, signal);
  await driver.start(none, signal);
  const spare = await driver.list();
  t.same(
    spare.map(({ holder }) => holder),
    [undefined, undefined],
    'two spare ones are ready',
  );
  const slot = await driver.acquire('sb-a', signal);
  t.same(await driver.acquire('sb-a', signal), slot, 'asked again it is the same');
  t.ok(
    spare.some((one) => one.slot.number === slot.number),
    'it is one of the spare ones',
  );
  t.ok(await isMade(slot));
  const { stdout: taps } = await execa('ip', ['-n', slot.namespace, '-o', 'link', 'show', slot.tap]);
  t.match(taps, /02:64:6d:00:00:01/);
  t.ok((await driver.list()).some((one) => one.slot.number === slot.number && one.holder === 'sb-a'));

  await driver.release('sb-a', signal);
  await driver.release('sb-a', signal);
  await driver.release('never-held', signal);
  t.ok((await driver.list()).every(({ holder }) => holder === undefined));
  const next = await driver.acquire('sb-b', signal);
  t.not(next.number, slot.number, 'a used slot is not handed on');
  await driver.stop();
  await driver.stop();
  t.ok(await isGone(hostId, slot));
  t.same(await driver.list(), [{ slot: next, holder: 'sb-b' }], 'a held one stays');
  t.ok(await isMade(next));
  await t.rejects(driver.acquire('sb-c', signal), { code: 'NETWORK_FAILED' }, 'stopped is stopped');
  await driver.release('sb-b', signal);
  await driver.stop();
  t.ok(await isGone(hostId, next));
});

t.test('many at once, on two hosts of one machine', async (t) => {
  const hostIds = [testHostId(), testHostId()];
  const drivers = [testNetwork(t, 2, hostIds[0]), testNetwork(t, 0, hostIds[1])];
  await Promise.all(drivers.map((driver) => driver.start(none, signal)));
  const holders = Array.from({ length: 25 }, (_, index) => `sb-${index}`);
  const slots = await Promise.all(
    drivers.flatMap((driver) => holders.map((holder) => driver.acquire(holder, signal))),
  );
  t.equal(new Set(slots.map(({ number }) => number)).size, 50, 'each has a slot of its own');
  t.equal(new Set(slots.map(({ address }) => address)).size, 50);
  t.ok((await Promise.all(slots.map(isMade))).every(Boolean), 'and all are whole');
  await Promise.all(drivers.flatMap((driver) => holders.map((holder) => driver.release(holder, signal))));
  await Promise.all(drivers.map((driver) => driver.stop()));
  for (const hostId of hostIds) {
    const gone = await Promise.all(slots.map((slot) => isGone(hostId, slot)));
    t.ok(gone.every(Boolean), 'nothing is left of any');
  }
  for (const driver of drivers) t.same(await driver.list(), []);
});

t.test('acquire and release of one holder, in whatever order they come', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(none, signal);
  const turns: Promise<unknown>[] = [];
  for (let round = 0; round < 50; round += 1) {
    turns.push(driver.acquire('sb-a', signal), driver.release('sb-a', signal));
    if (round % 10 === 0) turns.push(driver.acquire('sb-a', signal));
  }
  await Promise.all(turns);
  t.ok((await driver.list()).every(({ holder }) => holder === undefined));
  await driver.stop();
  t.same(await driver.list(), []);
});

t.test('who gives up waiting leaves no slot behind', async (t) => {
  const driver = testNetwork(t, 0);
  await driver.start(none, signal);
  const abort = new AbortController();
  const reason = new Error('enough');
  const holders = Array.from({ length: 20 }, (_, index) => `sb-${index}`);
  const asked = holders.map((holder) => driver.acquire(holder, abort.signal));
  const patient = driver.acquire('sb-patient', signal);
  // Few are made at once, so when the first has its slot most still wait.
  await Promise.race(asked);
  abort.abort(reason);
  const ended = await Promise.allSettled(asked);
  const served = holders.filter((_, index) => ended[index]?.status === 'fulfilled');
  t.ok(served.length >= 1 && served.length < 20, `${served.length} were served before`);
  for (const one of ended) if (one.status === 'rejected') t.equal(one.reason, reason);
  t.ok(await isMade(await patient));
  await driver.stop();
  t.same(
    (await driver.list()).map(({ holder }) => holder).sort(),
    [...served, 'sb-patient'].sort(),
    'there is a slot for each who got one, and no other',
  );
});

t.test('after a kill -9 the held slots are as they were and the rest is gone', async (t) => {
  const hostId = testHostId();
  const driver = testNetwork(t, 1, hostId);
  const src = path.join(import.meta.dirname, '..', '..', '..', 'src');
  const script = `
    import { systemClock } from ${JSON.stringify(path.join(src, 'clock.ts'))};
    import { createLogger } from ${JSON.stringify(path.join(src, 'log.ts'))};
    import { createNamespaceDriver } from ${JSON.stringify(path.join(src, 'drivers/network/namespace/index.ts'))};
    const signal = new AbortController().signal;
    const driver = createNamespaceDriver({
      hostId: ${JSON.stringify(hostId)}, spareSlots: 3, log: createLogger('test', 'silent'), clock: systemClock });
    await driver.start(new Set(), signal);
    const kept = await driver.acquire('sb-kept', signal);
    const lost = await driver.acquire('sb-lost', signal);
    console.log(JSON.stringify({ kept, lost }));
    for (let index = 0; index < 20; index += 1) {
      driver.acquire('sb-' + index, signal).then(() => console.log('another'));
    }`;
  const agent = execa(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    buffer: false,
    reject: false,
  });
  let slots: { kept: Slot; lost: Slot } | undefined;
  let others = 0;
  // Killed in the midst of making: some of the twenty have a slot, some a half one, some none.
  for await (const line of agent.iterable()) {
    if (!slots) slots = JSON.parse(String(line)) as { kept: Slot; lost: Slot };
    else others += 1;
    if (others === 3) agent.kill('SIGKILL');
  }
  await agent;
  if (!slots) throw new Error('the agent ended too early');
  const { kept } = slots;
  const namespace = await stat(kept.namespacePath);
  const before = await driver.list();
  t.ok(before.length > 4, 'there is something to clean');

  await driver.start(new Set(['sb-kept', 'sb-unknown']), signal);
  t.same(await driver.acquire('sb-kept', signal), kept);
  t.equal((await stat(kept.namespacePath)).ino, namespace.ino, 'it is the same namespace');
  t.not((await driver.acquire('sb-lost', signal)).namespacePath, kept.namespacePath);
  const found = await driver.list();
  t.same(
    found
      .map(({ holder }) => holder)
      .filter((holder) => holder !== undefined)
      .sort(),
    ['sb-kept', 'sb-lost'],
  );
  t.ok((await Promise.all(found.filter((one) => one.holder).map(({ slot }) => isMade(slot)))).every(Boolean));
  await driver.release('sb-kept', signal);
  await driver.release('sb-lost', signal);
  await driver.stop();
  t.same(await driver.list(), []);
  const gone = await Promise.all(before.map(({ slot }) => isGone(hostId, slot)));
  t.ok(gone.every(Boolean), 'nothing is left of what the killed agent had made or begun to make');
});

t.test('a held slot whose namespace is gone is made again with its number', async (t) => {
  const hostId = testHostId();
  const first = testNetwork(t, 0, hostId);
  await first.start(none, signal);
  const slot = await first.acquire('sb-a', signal);
  await first.stop();
  await removeSlot(slot);
  const second = testNetwork(t, 0, hostId);
  await second.start(new Set(['sb-a']), signal);
  t.same(await second.acquire('sb-a', signal), slot);
  t.ok(await isMade(slot));
  await second.release('sb-a', signal);
  await second.stop();
  t.ok(await isGone(hostId, slot));
});

t.test('a spare slot that somebody destroyed is not handed out', async (t) => {
  const driver = testNetwork(t, 1);
  await driver.start(none, signal);
  const [spare] = await driver.list();
  await execa('ip', ['netns', 'del', spare!.slot.namespace]);
  t.ok(await isMade(await driver.acquire('sb-a', signal)));
});

/** A number far above those that are used, so that nobody else works with it meanwhile. */
const farNumber = (index: number): number => SLOTS_MAX - 1 - ((process.pid * 8 + index) % 16_000);

t.test('removing makes sure, whatever was made', async (t) => {
  const slot = slotOf(farNumber(0));
  t.teardown(() => removeSlot(slot));
  t.ok(await isVacant(slot));
  await removeSlot(slot);

  await writeFile(slot.namespacePath, '');
  t.notOk(await isMade(slot), 'a file without a namespace, as of a killed `ip netns add`, is no slot');
  t.notOk(await isVacant(slot));
  await removeSlot(slot);
  t.ok(await isVacant(slot), 'the file');

  await execa('ip', ['netns', 'add', slot.namespace]);
  t.notOk(await isMade(slot), 'a namespace without a link is no slot');
  t.notOk(await isVacant(slot));
  await removeSlot(slot);
  t.ok(await isVacant(slot), 'the namespace');

  await execa('ip', ['link', 'add', slot.namespace, 'type', 'veth', 'peer', 'name', `p${slot.number}`]);
  t.notOk(await isVacant(slot));
  await removeSlot(slot);
  t.ok(await isVacant(slot), 'the link');

  await makeSlot(slot);
  t.ok(await isMade(slot));
  await removeSlot(slot);
  t.ok(await isVacant(slot), 'the whole');
});

t.test('a failure names the command and what it said', async (t) => {
  const slot = slotOf(farNumber(1));
  t.teardown(() => removeSlot(slot));
  await makeSlot(slot);
  await t.rejects(makeSlot(slot), { code: 'NETWORK_FAILED', detail: /^ip -batch -: .*File exists/s });
});

t.test('nothing of the root namespace is set', async (t) => {
  const settings = async (): Promise<string> =>
    (
      await execa('sysctl', [
        '-a',
        '--pattern',
        '^net\\.ipv[46]\\.(conf|neigh)\\.(all|default)\\.|ip_forward',
      ])
    ).stdout;
  const rules = async (): Promise<string> => (await execa('nft', ['list', 'tables'])).stdout;
  const before = [await settings(), await rules()];
  const driver = testNetwork(t, 1);
  await driver.start(none, signal);
  t.same([await settings(), await rules()], before);
});

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { sandboxMachine } from '../../../src/actors/sandbox/machine.ts';
import { begin, decide, restore, stepDone } from '../../../src/actors/system/decide.ts';
import { fileJournal } from '../../../src/actors/system/journal.ts';
import { afterPowerCut, emptyRecord } from '../../../src/actors/system/next-record.ts';
import { sandboxInput } from '../sandbox/support.ts';

/** What becomes of an actor whose host lost power. */

const first = begin(sandboxMachine, sandboxInput());
const record = { ...emptyRecord<SandboxContext>({ kind: 'sandbox', id: 'sb-a' }, first, 0), seq: 7 };

t.test('a journal says whether it was written in an earlier boot', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-boot-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'state.json');
  const own = fileJournal(file);
  t.equal(await own.load(), undefined);
  t.notOk(own.isFromEarlierBoot, 'there is none');
  await own.save(record, true);
  const same = fileJournal(file);
  t.equal((await same.load())?.seq, 7);
  t.notOk(same.isFromEarlierBoot, 'of this boot');
  const written = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...written, boot: 'another' }));
  const later = fileJournal(file);
  await later.load();
  t.ok(later.isFromEarlierBoot, 'of an earlier one');
});

t.test('the state is told anew, with a number beyond all that may have been told', async (t) => {
  const snapshot = restore(sandboxMachine, record.value, record.context);
  const after = afterPowerCut(record, snapshot, 1_000);
  t.ok(after.record.seq > record.seq + 500);
  t.match(after.transition, {
    seq: after.record.seq,
    from: 'creating.disk',
    to: 'creating.disk',
    cause: 'power cut',
    commandId: 'create',
  });
  t.same({ ...after.record, seq: record.seq }, record, 'nothing else is changed');
});

t.test(
  'a create is answered when its record outlives a power cut, other entries to running are not',
  async (t) => {
    const toRunning = (): ReturnType<typeof decide> => {
      let decision = first;
      for (const step of ['makeDisk', 'acquireSlot', 'launchVm', 'welcomeGuest'])
        decision = decide(sandboxMachine, decision.snapshot, stepDone(step, {}));
      return decision;
    };
    const isDurable = (decision: ReturnType<typeof decide>): boolean =>
      decision.effects.some((effect) => effect.kind === 'act' && effect.type === 'durable');
    const running = toRunning();
    t.ok(isDurable(running));
    const command = { id: 'c', name: 'pause', deadlineMs: 1 };
    let decision = decide(sandboxMachine, running.snapshot, {
      type: 'pause',
      command,
      body: {},
      atMs: 1,
    } as never);
    for (const step of ['drain', 'freezeVcpus'])
      decision = decide(sandboxMachine, decision.snapshot, stepDone(step, {}));
    t.notOk(isDurable(decision));
  },
);

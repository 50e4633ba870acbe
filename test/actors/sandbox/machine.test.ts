import t from 'tap';
import { sandboxMachine } from '../../../src/actors/sandbox/machine.ts';
import { sandboxStepNames } from '../../../src/actors/sandbox/steps/names.ts';
import {
  activeSteps,
  decide,
  restore,
  stateName,
  stepDone,
  stepFailed,
} from '../../../src/actors/system/decide.ts';
import { CAPTURE, error, paused, running, Walk } from './machine-walk.ts';

t.test('the happy path goes through every step in order', async (t) => {
  const walk = new Walk();
  const seen = [walk.begins[0]];
  for (const move of [
    'ok',
    'ok',
    'ok',
    'ok',
    'pause',
    'ok',
    'ok',
    'ok',
    'ok',
    'ok',
    'ok',
    'ok',
    'resume',
    'ok',
    'ok',
    'ok',
    'ok',
    'ok',
    'ok',
    'destroy',
    'ok',
  ]) {
    walk.go(move);
    seen.push(...walk.begins);
  }
  t.equal(walk.state, 'destroyed');
  t.same(walk.answer, ['c-destroy', null]);
  t.same(seen, [
    'makeDisk',
    'acquireSlot',
    'launchVm',
    'welcomeGuest',
    'watchVm',
    'drain',
    'freezeVcpus',
    'saveVm',
    'retireVm',
    'detachDisk',
    'commitSnapshot',
    'releaseSlot',
    'flushSnapshot',
    'cloneSnapshot',
    'attachDisk',
    'acquireSlot',
    'restoreVm',
    'wakeGuest',
    'discardSnapshot',
    'watchVm',
    'releaseAll',
  ]);
});

t.test('every failure of a create is undone and ends as failed, with the error for the caller', async (t) => {
  for (let steps = 0; steps < 4; steps += 1) {
    const walk = new Walk().go(...Array<string>(steps).fill('ok'), 'fail');
    t.equal(walk.state, 'undoing', `after ${steps} steps`);
    t.same(walk.begins, ['releaseAll']);
    walk.go('ok');
    t.equal(walk.state, 'failed');
    t.same(walk.answer, ['create', 'STEP_FAILED']);
  }
});

t.test('an undo that fails strands the sandbox and is tried again, later each time', async (t) => {
  const walk = new Walk().go('fail', 'fail');
  t.equal(walk.state, 'stranded');
  t.same(walk.answer, ['create', 'STEP_FAILED']);
  const delays: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const arm = walk.effects.find((effect) => effect.kind === 'arm');
    delays.push(arm?.kind === 'arm' ? arm.delayMs : -1);
    walk.go('backOff');
    t.equal(walk.state, 'undoing');
    walk.go('fail');
  }
  t.same(delays, [1000, 2000, 4000]);
  t.equal(walk.go('backOff', 'ok').state, 'failed');
});

t.test(
  'a pause that fails before the machine is stopped ends in running, with the vCPUs thawed',
  async (t) => {
    for (const moves of [
      ['ok', 'fail'],
      ['ok', 'ok', 'fail'],
      ['fail', 'ok', 'fail'],
    ]) {
      const walk = running().go('pause', ...moves);
      t.equal(walk.state, 'pausing.thawing', moves.join());
      t.same(walk.begins, ['thawVcpus']);
      walk.go('ok');
      t.equal(walk.state, 'running');
      t.same(walk.answer, ['c-pause', 'STEP_FAILED']);
      t.same(walk.begins, ['watchVm']);
      t.match(walk.context.lastError, error);
      t.equal(walk.context.command, null);
    }
  },
);

t.test('draining never stops a pause', async (t) => {
  t.equal(running().go('pause', 'fail').state, 'pausing.freezing');
});

t.test('a thaw that fails is tried again, and is a crash then: the disk is kept', async (t) => {
  const walk = running().go('pause', 'ok', 'ok', 'fail', 'fail');
  t.equal(walk.state, 'pausing.thawingAgain');
  t.same(walk.begins, ['thawVcpus']);
  walk.go('fail');
  t.equal(walk.state, 'crashed.cleaning');
  t.same(walk.begins, ['clearWreck']);
  walk.go('ok');
  t.equal(walk.state, 'crashed.resting');
  t.same(walk.answer, ['c-pause', 'STEP_FAILED']);
  t.ok(walk.snapshot.can({ type: 'restart' }) && walk.snapshot.can({ type: 'destroy' }));
});

t.test(
  'a pause that fails after the machine was stopped starts it again from the state just written',
  async (t) => {
    for (const oks of [4, 5]) {
      const walk = running().go('pause', ...Array<string>(oks).fill('ok'), 'fail');
      t.equal(walk.state, 'pausing.restarting');
      t.same(walk.begins, ['relaunchVm']);
      walk.go('ok');
      t.equal(walk.state, 'running');
      t.same(walk.answer, ['c-pause', 'STEP_FAILED']);
    }
  },
);

t.test('when that fails too the sandbox is stranded, and the pause is finished later', async (t) => {
  const walk = running().go('pause', 'ok', 'ok', 'ok', 'ok', 'fail', 'fail');
  t.equal(walk.state, 'stranded');
  t.same(walk.answer, ['c-pause', 'STEP_FAILED']);
  walk.go('backOff');
  t.equal(walk.state, 'pausing.stoppingVm');
  walk.go('ok', 'ok', 'ok', 'ok');
  t.equal(walk.state, 'paused');
  t.equal(walk.context.heading, null);
});

t.test('a rollback that has nothing to load any more is a crash, not a loop', async (t) => {
  for (const code of ['VMM_GONE', 'SNAPSHOT_INVALID'] as const) {
    const walk = running().go('pause', 'ok', 'ok', 'ok', 'ok', 'fail');
    walk.go(stepFailed('relaunchVm', { code, detail: '' }));
    t.equal(walk.state, 'crashed.cleaning');
  }
});

t.test('a monitor that cannot be stopped strands the pause', async (t) => {
  const walk = running().go('pause', 'ok', 'ok', 'ok', 'fail');
  t.equal(walk.state, 'stranded');
  t.equal(walk.go('backOff').state, 'pausing.stoppingVm');
});

t.test('a slot that cannot be given back does not undo a pause', async (t) => {
  const walk = running().go('pause', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'fail');
  t.equal(walk.state, 'paused');
  t.same(walk.answer, ['c-pause', null]);
});

t.test('every failure of a resume rolls back to paused, and a second resume works', async (t) => {
  for (let steps = 0; steps < 5; steps += 1) {
    const walk = paused().go('resume', ...Array<string>(steps).fill('ok'), 'fail');
    t.equal(walk.state, 'resuming.rollingBack', `after ${steps} steps`);
    walk.go('ok');
    t.equal(walk.state, 'paused');
    t.same(walk.answer, ['c-resume', 'STEP_FAILED']);
    t.equal(walk.context.execution, 1, 'the run that failed does not count');
    walk.go('resume', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok');
    t.equal(walk.state, 'running');
    t.equal(walk.context.execution, 2);
    t.equal(walk.context.lastError, null);
  }
});

t.test('a rollback that fails strands the sandbox on its way to paused', async (t) => {
  const walk = paused().go('resume', 'fail', 'fail');
  t.equal(walk.state, 'stranded');
  t.equal(walk.go('backOff').state, 'resuming.rollingBack');
  t.equal(walk.go('ok').state, 'paused');
});

t.test('an old snapshot that cannot be deleted does not undo a resume', async (t) => {
  const walk = paused().go('resume', 'ok', 'ok', 'ok', 'ok', 'ok', 'fail');
  t.equal(walk.state, 'running');
  t.same(walk.answer, ['c-resume', null]);
});

t.test('a machine that ends by itself is a crash; restart boots it on the same disk', async (t) => {
  const walk = running().go(stepDone('watchVm', { reason: 'guest-panic', detail: 'panic' }));
  t.equal(walk.state, 'crashed.cleaning');
  walk.go('ok');
  t.match(walk.context.lastError, { code: 'VMM_GONE', detail: /guest-panic/ });
  walk.go('restart', 'ok', 'ok', 'ok', 'ok', 'ok');
  t.equal(walk.state, 'running');
  t.same(walk.answer, ['c-restart', null]);
  t.equal(walk.context.execution, 2);
});

t.test('a paused sandbox can be booted on its disk: its memory is given up', async (t) => {
  const walk = paused().go('restart');
  t.equal(walk.state, 'restarting.forgetting');
  walk.go('ok', 'ok', 'ok', 'ok', 'ok', 'ok');
  t.equal(walk.state, 'running');
  t.same(walk.answer, ['c-restart', null]);
  t.equal(walk.context.execution, 2);
  const kept = paused().go('restart', 'fail');
  t.equal(kept.state, 'paused', 'when that fails it is paused as before');
  t.same(kept.answer, ['c-restart', 'STEP_FAILED']);
  t.equal(
    paused().go('restart', 'ok', 'fail', 'ok').state,
    'crashed.resting',
    'later, its disk is what is left',
  );
});

t.test('every failure of a restart ends as crashed', async (t) => {
  for (let steps = 0; steps < 5; steps += 1) {
    const walk = running().go('restart', ...Array<string>(steps).fill('ok'), 'fail', 'ok');
    t.equal(walk.state, 'crashed.resting', `after ${steps} steps`);
    t.same(walk.answer, ['c-restart', 'STEP_FAILED']);
  }
});

t.test('a wreck that cannot be cleared strands the sandbox on its way to crashed', async (t) => {
  const walk = running().go(stepFailed('watchVm', error), 'fail');
  t.equal(walk.state, 'stranded');
  t.equal(walk.go('backOff', 'ok').state, 'crashed.resting');
});

t.test('a destroy that fails is told to the caller and finished later', async (t) => {
  const walk = running().go('destroy', 'fail');
  t.equal(walk.state, 'stranded');
  t.same(walk.answer, ['c-destroy', 'STEP_FAILED']);
  t.equal(walk.go('backOff', 'ok').state, 'destroyed');
});

t.test('a stranded sandbox can be destroyed at once', async (t) => {
  const walk = new Walk().go('fail', 'fail', 'destroy');
  t.equal(walk.state, 'destroying');
});

t.test('time: armed with the sandbox, extended by ping and exec, pauses or destroys', async (t) => {
  const armed = (walk: Walk): unknown =>
    walk.effects.find((effect) => effect.kind === 'act' && effect.type === 'arm');
  const walk = running({ timeout_s: 60 });
  t.match(armed(walk), { params: { timer: 'expired', atMs: 61_000 } });
  walk.go({ type: 'exec', atMs: 5000 });
  t.match(armed(walk), { params: { atMs: 65_000 } });
  walk.go({
    type: 'ping',
    atMs: 9000,
    body: { timeout_s: 10 },
    command: { id: 'p', name: 'ping', deadlineMs: 1 },
  });
  t.match(armed(walk), { params: { atMs: 19_000 } });
  t.same(walk.answer, ['p', null]);
  t.equal(walk.go('expired').state, 'pausing.draining');
  t.equal(running({ timeout_s: 60, on_timeout: 'destroy' }).go('expired').state, 'destroying');
});

t.test('a pause by timeout that failed is tried again later and never destroys', async (t) => {
  const walk = running({ timeout_s: 1 }).go('expired', 'ok', 'fail', 'ok');
  t.equal(walk.state, 'running');
  t.equal(walk.context.expiresAtMs, 1000 + 60_000);
});

t.test('a host that is nearly full pauses what runs, and a pause that fails leaves it running', async (t) => {
  const low = running().go('spaceLow');
  t.equal(low.state, 'pausing.draining');
  t.equal(low.go('ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'ok').state, 'paused');
  t.equal(running().go('spaceLow', 'ok', 'ok', 'fail', 'ok').state, 'running');
  t.throws(() => paused().go('spaceLow'), 'what is paused takes nothing more');
});

t.test('a disk that the kernel gave up is a crash, whatever was under way', async (t) => {
  const lost = { code: 'DISK_LOST', detail: 'gone' };
  const walk = running().go({ type: 'diskLost', error: lost });
  t.equal(walk.state, 'crashed.cleaning');
  t.equal(walk.go('ok').context.lastError?.code, 'DISK_LOST');

  const pausing = running().go('pause', 'ok', 'ok', 'ok', 'ok');
  t.equal(pausing.state, 'pausing.detachingDisk');
  const [step] = activeSteps(pausing.snapshot);
  pausing.go(stepFailed(step?.invokeId ?? '', lost));
  t.equal(pausing.state, 'crashed.cleaning', 'there is nothing to roll back to');
  t.same(pausing.go('ok').answer, ['c-pause', 'DISK_LOST']);
});

t.test('commands that do not fit are not taken', async (t) => {
  const takes = (walk: Walk): string[] =>
    ['pause', 'resume', 'capture', 'restart', 'resize', 'ping', 'destroy'].filter((type) =>
      walk.snapshot.can({ type } as never),
    );
  t.same(takes(new Walk()), []);
  t.same(takes(running()), ['pause', 'capture', 'restart', 'ping', 'destroy']);
  t.same(takes(running().go('pause')), []);
  t.same(takes(running().go({ type: 'capture', ...CAPTURE })), []);
  t.same(takes(paused()), ['resume', 'capture', 'restart', 'resize', 'destroy']);
  t.same(takes(paused().go('resume')), []);
});

t.test('a state that is restored from its value goes on like the one it was', async (t) => {
  const before = running().go('pause', 'ok', 'ok').snapshot;
  const after = restore(
    sandboxMachine,
    JSON.parse(JSON.stringify(before.value)),
    JSON.parse(JSON.stringify(before.context)),
  );
  t.same(activeSteps(after), activeSteps(before));
  const [a, b] = [before, after].map((snapshot) =>
    decide(sandboxMachine, snapshot, stepFailed('saveVm', error)),
  );
  t.equal(stateName(a?.snapshot.value ?? ''), 'pausing.thawing');
  t.same(b?.snapshot.value, a?.snapshot.value);
  t.same(b?.effects, a?.effects);
});

t.test(
  'every step has a state, and every state with a step has a way out of its end and of its failure',
  async (t) => {
    const invoked = new Set<string>();
    const visit = (node: (typeof sandboxMachine)['root']): void => {
      for (const { id, src } of node.invoke) {
        invoked.add(String(src));
        // The two that nobody depends on: a watch ends only with the machine, and a flush only speeds up the next clone.
        if (src === 'flushSnapshot') continue;
        t.ok(
          (node.ownEvents as string[]).includes(`xstate.done.actor.${id}`),
          `${node.id} goes on when ${id} is done`,
        );
        t.ok(
          (node.ownEvents as string[]).includes(`xstate.error.actor.${id}`),
          `${node.id} goes on when ${id} fails`,
        );
      }
      for (const child of Object.values(node.states)) visit(child as typeof node);
    };
    visit(sandboxMachine.root);
    t.same([...invoked].sort(), [...sandboxStepNames].sort());
  },
);

import t from 'tap';
import { CAPTURE, error, paused, running } from './machine-walk.ts';

/** How the machine takes copies of a sandbox, and makes a paused one larger. */

const capture = { type: 'capture', ...CAPTURE };
const captureDisk = { ...capture, body: { ...capture.body, memory: false } };
const oks = (count: number): string[] => Array<string>(count).fill('ok');

t.test('a running sandbox is copied with its memory, and goes on', async (t) => {
  const walk = running().go(capture);
  const seen = [...walk.begins];
  while (walk.state !== 'running') seen.push(...walk.go('ok').begins);
  t.same(seen, ['settleGuest', 'freezeVcpus', 'saveVm', 'captureLive', 'thawVcpus', 'setClock', 'watchVm']);
  t.same(walk.answer, ['c-capture', null]);
  t.equal(walk.context.execution, 1, 'it is the same run');
  t.equal(walk.context.capture, null, 'nothing is left of it in the context');
});

t.test('without its memory nothing is saved of the machine', async (t) => {
  const walk = running().go(captureDisk);
  const seen = [...walk.begins];
  while (walk.state !== 'running') seen.push(...walk.go('ok').begins);
  t.same(seen, ['settleGuest', 'freezeVcpus', 'captureLive', 'thawVcpus', 'setClock', 'watchVm']);
  t.same(walk.answer, ['c-capture', null]);
});

t.test('where the copy goes is in the journal while it is taken', async (t) => {
  t.same(running().go(capture).context.capture, capture.body);
  t.same(paused().go(captureDisk).context.capture, captureDisk.body);
});

t.test('what a guest cannot do before the freeze and after it stops no copy', async (t) => {
  t.equal(running().go(capture, 'fail').state, 'capturing.freezing');
  const walk = running().go(capture, ...oks(5), 'fail');
  t.equal(walk.state, 'running');
  t.same(walk.answer, ['c-capture', null]);
  t.equal(walk.context.lastError, null);
});

t.test('whatever fails while the vCPUs stand still, they go on, and the error is answered', async (t) => {
  for (const [name, steps] of [
    ['freezing', 1],
    ['saving', 2],
    ['copying', 3],
  ] as const) {
    const walk = running().go(capture, ...oks(steps));
    t.equal(walk.state, `capturing.${name}`);
    walk.go('fail');
    t.equal(walk.state, 'capturing.thawing', name);
    t.same(walk.begins, ['thawVcpus']);
    walk.go('ok', 'ok');
    t.equal(walk.state, 'running', name);
    t.same(walk.answer, ['c-capture', 'STEP_FAILED'], name);
    t.match(walk.context.lastError, error);
    t.equal(walk.context.capture, null);
  }
});

t.test('a thaw that fails is tried again, and a copy that succeeded is answered as such then', async (t) => {
  const walk = running().go(capture, ...oks(4), 'fail');
  t.equal(walk.state, 'capturing.thawingAgain');
  t.same(walk.begins, ['thawVcpus']);
  walk.go('ok', 'ok');
  t.same([walk.state, walk.answer], ['running', ['c-capture', null]]);
});

t.test(
  'a machine that does not go on is a crash, whose error is answered though the copy was taken',
  async (t) => {
    const twice = running().go(capture, ...oks(4), 'fail', 'fail');
    t.equal(twice.state, 'crashed.cleaning');
    t.same(twice.go('ok').answer, ['c-capture', 'STEP_FAILED']);
    const gone = running()
      .go(capture, ...oks(4))
      .failWith('VMM_GONE');
    t.equal(gone.state, 'crashed.cleaning', 'another try is in vain');
    t.same(gone.go('ok').answer, ['c-capture', 'VMM_GONE']);
    const before = running().go(capture, 'ok', 'ok').failWith('DISK_FULL').failWith('VMM_GONE');
    t.same(before.go('ok').answer, ['c-capture', 'DISK_FULL'], 'the first error is the reason');
  },
);

t.test('a paused sandbox is copied and stays paused, whether that succeeds or not', async (t) => {
  for (const wish of [capture, captureDisk]) {
    const walk = paused().go(wish);
    t.equal(walk.state, 'capturing.copyingPaused');
    t.same(walk.begins, ['captureSnapshot']);
    walk.go('ok');
    t.same([walk.state, walk.answer, walk.context.capture], ['paused', ['c-capture', null], null]);
  }
  const failed = paused().go(capture, 'fail');
  t.same([failed.state, failed.answer], ['paused', ['c-capture', 'STEP_FAILED']]);
  t.equal(failed.go('resume', ...oks(6)).state, 'running', 'and can be resumed');
});

t.test('the time until the timeout begins anew with a copy', async (t) => {
  const walk = running({ timeout_s: 60 }).go(capture);
  t.equal(walk.context.expiresAtMs, null, 'it does not end in the middle of one');
  t.equal(walk.go(...oks(6)).context.expiresAtMs, 61_000);
});

const resize = (disk_size_mb: number) => ({
  type: 'resize',
  command: { id: 'c-resize', name: 'resize', deadlineMs: 1 },
  body: { disk_size_mb },
});
const isDurable = ({ effects }: ReturnType<typeof paused>): boolean =>
  effects.some((effect) => effect.kind === 'act' && effect.type === 'durable');

t.test('the disk of a paused sandbox is made larger: without a step, and a power cut keeps it', async (t) => {
  const walk = paused().go(resize(2048));
  t.equal(walk.state, 'paused');
  t.same([walk.begins, walk.answer, isDurable(walk)], [[], ['c-resize', null], true]);
  t.equal(walk.context.options.disk_size_mb, 2048);
  t.same(walk.go(resize(2048)).answer, ['c-resize', null], 'the size that it has is no change');
});

t.test('a disk does not become smaller, and nothing is changed then', async (t) => {
  const walk = paused();
  const before = walk.context;
  walk.go(resize(1023));
  t.same(walk.answer, ['c-resize', 'INVALID_SIZE']);
  t.match(
    walk.effects.find((effect) => effect.kind === 'act' && effect.type === 'answer'),
    {
      params: { error: { data: { disk_size_mb: 1023, minimum_mb: 1024 }, detail: /1023.*1024|1024.*1023/ } },
    },
  );
  t.same(walk.context, before);
});

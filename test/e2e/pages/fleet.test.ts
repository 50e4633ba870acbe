import t from 'tap';
import type { SandboxState, SandboxTransition } from '../../../src/actors/sandbox/protocol.ts';
import { DEFAULT_TEAM_ID, newSandboxId } from '../../../src/ids.ts';
import { overflow, picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { connectTestBus, exampleTransition, exampleView } from '../../support/bus.ts';
import { watchMoves } from '../../support/moves.ts';
import { until } from '../../support/nats.ts';
import { up } from '../faults/support.ts';

/**
 * The fleet view with 2,000 sandboxes whose events come through the real stream, records and edge. No virtual machine is behind them:
 * what is shown is what the stream tells.
 */

t.setTimeout(600_000);

const SANDBOXES = 2_000;
const CHANGES_PER_S = 300;
const SECONDS = 10;
/** A frame's share of the main thread at 30 frames a second, in milliseconds. */
const FRAME_BUDGET_MS = 1000 / 30;
const HOSTS = ['h-sim-a', 'h-sim-b'];

const server = await up(t);
const bus = await connectTestBus(t, server.natsUrl);

interface Simulated {
  id: string;
  host: string;
  seq: number;
  state: string;
}

const all: Simulated[] = Array.from({ length: SANDBOXES }, (_, index) => ({
  id: newSandboxId(),
  host: HOSTS[index % 2] ?? '',
  seq: 0,
  state: '',
}));

/** Where each state leads in this simulation, and by what. */
const NEXT: Readonly<Record<string, readonly [to: string, cause: string]>> = {
  '': ['running', 'create'],
  running: ['pausing.draining', 'pause'],
  'pausing.draining': ['pausing.freezing', 'step.done'],
  'pausing.freezing': ['pausing.snapshotting', 'step.done'],
  'pausing.snapshotting': ['paused', 'step.done'],
  paused: ['resuming.cloning', 'resume'],
  'resuming.cloning': ['resuming.vm', 'step.done'],
  'resuming.vm': ['running', 'step.done'],
};

/** Moves a sandbox on, or where it is told to. */
async function move(one: Simulated, to?: string, error: SandboxTransition['error'] = null): Promise<void> {
  const [next, cause] = to === undefined ? (NEXT[one.state] ?? ['running', 'create']) : [to, 'step.failed'];
  one.seq += 1;
  const [state, step = null] = next.split('.');
  const at = new Date().toISOString();
  const view = exampleView({
    id: one.id,
    team_id: DEFAULT_TEAM_ID,
    host_id: one.host,
    state: state as SandboxState,
    step: step === 'resting' ? null : step,
    seq: one.seq,
    updated_at: at,
    last_error: error && { code: error.code, detail: error.detail },
  });
  const from = one.state || null;
  one.state = next;
  await bus.events.append({ ...exampleTransition(view, one.seq), at, from, to: next, cause, error });
}

/** Runs `work` on each, some at once. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (const item of left) await work(item);
    }),
  );
}

await each(all, (one) => move(one));
// Two are stranded, one crashed, one has been in a step for ever.
const [stranded, crashed, slow] = all;
const failure = { code: 'STEP_FAILED', detail: 'The disk is busy.' };
if (stranded) await move(stranded, 'stranded', failure);
if (crashed) await move(crashed, 'crashed.resting', { code: 'VM_CRASHED', detail: 'The machine went away.' });
if (slow) await move(slow);

const { open } = await startBrowser(t, server, { viewport: { width: 1600, height: 1000 } });
const page = await open('/visualizer');

const countOf = async (state: string): Promise<number> =>
  Number(await page.locator(`[data-state="${state}"]`).getAttribute('data-count'));
const expected = (state: string): number =>
  all.filter((one) => one.state === state || one.state.startsWith(`${state}.`)).length;
/** Waits until the page counts as many as there are. */
async function agrees(): Promise<void> {
  for (const state of ['running', 'pausing', 'paused', 'resuming', 'stranded', 'crashed'])
    await until(async () => (await countOf(state)) === expected(state), `the count of ${state}`, 120_000);
}

t.test('the graph tells how many are in which state', async (t) => {
  await agrees();
  t.equal(await countOf('running'), expected('running'));
  t.match(await page.locator('[data-panel=retrying]').innerText(), stranded?.id ?? '', 'what is tried again');
  t.match(await page.locator('[data-panel=failed]').innerText(), crashed?.id ?? '', 'what has failed');
  t.match(await page.locator('[data-panel=failed]').innerText(), 'VM_CRASHED', 'and why');
});

t.test(`${CHANGES_PER_S} changes a second leave the main thread its time`, async (t) => {
  const cdp = await page.context().newCDPSession(page);
  // The thread's own time: what others do on this machine does not count.
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busyS = async (): Promise<number> => {
    const { metrics } = await cdp.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
  };
  await page.evaluate(`
    globalThis.frames_ = 0;
    (function count() { frames_ += 1; requestAnimationFrame(count); })();
  `);
  const moves = await watchMoves(page, { shiftsOnly: true });
  const framesDrawn = async (): Promise<number> => await page.evaluate<number>('frames_');

  const before = { busyS: await busyS(), frames: await framesDrawn() };
  const began = performance.now();
  let sent = 0;
  while (performance.now() - began < SECONDS * 1000) {
    const due = Math.floor(((performance.now() - began) / 1000) * CHANGES_PER_S) - sent;
    const some = Array.from({ length: due }, (_, index) => all[3 + ((sent + index) % (SANDBOXES - 3))]);
    sent += due;
    await Promise.all(some.map((one) => one && move(one)));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const seconds = (performance.now() - began) / 1000;
  const frames = (await framesDrawn()) - before.frames;
  const busyMs = ((await busyS()) - before.busyS) * 1000;
  t.comment(
    `${sent} changes in ${seconds.toFixed(1)} s; ${(frames / seconds).toFixed(1)} frames a second; ` +
      `main thread ${(busyMs / frames).toFixed(2)} ms of work a frame, ${(busyMs / seconds / 10).toFixed(1)} % busy`,
  );
  t.ok(sent > (CHANGES_PER_S * SECONDS) / 2, 'changes were made');
  t.ok(busyMs / frames < FRAME_BUDGET_MS, 'a frame has its work done within its time');
  t.ok(busyMs / seconds < 30 * FRAME_BUDGET_MS, 'and all of it leaves 30 frames a second');
  t.same(await moves.end(), [], 'nothing moves while events arrive');
  await agrees();
  await picture(page, 'visualizer-fleet', { docs: true });
});

t.test('one host alone; search and filter', async (t) => {
  await page.getByRole('searchbox').fill(crashed?.id ?? '');
  const found = page.getByRole('list', { name: 'sandboxes' }).getByRole('listitem');
  await until(async () => (await found.count()) === 1, 'one is found');
  await page.getByRole('searchbox').fill('VM_CRASHED');
  await until(async () => (await found.count()) === 1, 'it is found by its error, too');
  await page.getByRole('searchbox').fill('');
  await page.locator('[data-panel=failed]').getByRole('link').first().click();
  await page.waitForURL(`**/visualizer/sandbox/${crashed?.id}`);
  await page.locator('[data-panel=error]').waitFor();
  t.match(await page.locator('[data-panel=error]').innerText(), /VM_CRASHED/);
  t.equal(
    await page.locator('[data-current=true]').getAttribute('data-state'),
    'crashed.resting',
    'what no actor tells any more is told by the records',
  );
});

t.test('a filter of the events finds what was long ago', async (t) => {
  await page.goto(`${server.url}/events`);
  await page.getByRole('searchbox').fill('VM_CRASHED');
  const found = page
    .getByRole('table')
    .getByRole('row')
    .filter({ hasText: crashed?.id ?? '' });
  await found.waitFor({ timeout: 60_000 });
  t.match(await found.innerText(), 'VM_CRASHED');
});

t.test('it fits on a small window and a large one, and can be read by everybody', async (t) => {
  await page.goto(`${server.url}/visualizer`);
  await agrees();
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [360, 2560]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1000 });
      t.equal(await overflow(page), 0, `nothing is beyond the edge at ${width} px`);
      t.same(await seriousViolations(page), [], `${colorScheme}, ${width} px`);
      await picture(page, `visualizer-fleet-${width}-${colorScheme}`);
    }
});

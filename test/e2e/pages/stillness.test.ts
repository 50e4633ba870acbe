import type { Locator, Page } from 'playwright-core';
import t, { type Test } from 'tap';
import type { SandboxState } from '../../../src/actors/sandbox/protocol.ts';
import { DEFAULT_TEAM_ID, newSandboxId } from '../../../src/ids.ts';
import { picture, startBrowser } from '../../support/browser.ts';
import { connectTestBus, exampleHost, exampleTransition, exampleView } from '../../support/bus.ts';
import { http, type View } from '../../support/dormouse.ts';
import { type MovesOptions, watchMoves } from '../../support/moves.ts';
import { until } from '../../support/nats.ts';
import { SHAPE, up } from '../faults/support.ts';

/**
 * Nothing moves while events arrive: each page that changes by itself is looked at on a wide and on a narrow window while something
 * happens. What happens on the lists is simulated; the page of a sandbox and its visualizer show a real one.
 */

t.setTimeout(600_000);
const SLOW_MS = 120_000;
const WIDTHS = [1280, 360] as const;

// Machines that sandboxes are cloned from are saved first, one or two of them.
const server = await up(t, { DORMOUSE_FAULTS: 'saveVm done:4=fail' });
const bus = await connectTestBus(t, server.natsUrl);
// A browser each: tabs of one share its few connections, and each page keeps one or two. A narrow page is long: all of it is looked at.
const browsers = await Promise.all(
  WIDTHS.map((width) => startBrowser(t, server, { viewport: { width, height: width > 1000 ? 900 : 2400 } })),
);
const { body: real } = await http<View & { host_id: string }>(server, 'POST', '/sandboxes', {
  template: 'minimal',
  ...SHAPE,
});

/** Opens a page in each width, for as long as the test lasts. */
async function openAll(t: Test, where: string): Promise<Page[]> {
  const pages = await Promise.all(browsers.map(({ open }) => open(where)));
  t.teardown(async () => {
    for (const page of pages) await page.close();
  });
  return pages;
}

/** Lets something happen, and tests that nothing has moved on any of the pages. */
async function staysStill(
  t: Test,
  pages: readonly Page[],
  happens: () => Promise<void>,
  options?: MovesOptions,
) {
  const watched = await Promise.all(pages.map((page) => watchMoves(page, options)));
  await t.resolves(happens(), 'it happens');
  for (const [index, moves] of watched.entries())
    t.same(await moves.end(), [], `nothing moves at ${WIDTHS[index]} px`);
}

/** Has a command carried out on the real sandbox; one that fails tells why. */
async function send(t: Test, action: 'pause' | 'ping' | 'resume', status = 200): Promise<void> {
  const answer = await http(server, 'POST', `/sandboxes/${real.id}/${action}`);
  t.equal(answer.status, status, action, { body: answer.body });
}

const seqs = new Map<string, number>();
/** A sandbox without a virtual machine comes to a state. */
async function tell(
  id: string,
  to: string,
  error: { code: string; detail: string } | null = null,
): Promise<void> {
  const seq = (seqs.get(id) ?? 0) + 1;
  seqs.set(id, seq);
  const [state, step = null] = to.split('.');
  const at = new Date().toISOString();
  const view = exampleView({
    ...{ id, seq, team_id: DEFAULT_TEAM_ID, host_id: 'h-sim', updated_at: at, created_at: at },
    ...{ state: state as SandboxState, step, last_error: error },
  });
  await bus.events.append({
    ...exampleTransition(view, seq),
    at,
    to,
    cause: error ? 'step.failed' : 'step.done',
    error,
  });
}
const simulated = Array.from({ length: 12 }, () => newSandboxId());
for (const id of simulated) await tell(id, 'running');

const rowOf = (page: Page, id: string): Locator => page.getByRole('row').filter({ hasText: id });
/** Waits until the row of the sandbox shows the state. */
const seen = (page: Page, id: string, state: string): Promise<void> =>
  rowOf(page, id).getByText(state, { exact: true }).first().waitFor({ timeout: SLOW_MS });

/** Waits until all rows are there, in an order that stays: what the records are behind with comes between others. */
async function isComplete(page: Page): Promise<void> {
  for (const id of simulated) await rowOf(page, id).waitFor({ timeout: SLOW_MS });
  let before = '';
  await until(async () => {
    const now = (await page.getByRole('row').locator('a').allInnerTexts()).join();
    const isSame = now === before;
    before = now;
    if (!isSame) await page.waitForTimeout(1_000);
    return isSame;
  }, 'the list is complete');
}

t.test('the list of sandboxes', async (t) => {
  const [first = '', second = '', third = ''] = simulated;
  // What disks take is told once the pages are looked at, and by one host only.
  const measured = Promise.withResolvers<void>();
  for (const { context } of browsers)
    await context.route('**/v1/usage', async (route) => {
      await measured.promise;
      const sandboxes = simulated.map((id, index) => ({ id, allocated_bytes: 700 ** (index % 4) }));
      await route.fulfill({ json: { sandboxes, hosts_missing: ['h-away'] } });
    });
  const pages = await openAll(t, '/');
  for (const page of pages) {
    await page.getByText('live', { exact: true }).first().waitFor();
    await isComplete(page);
  }
  await staysStill(t, pages, async () => {
    for (const state of ['pausing.draining', 'pausing.snapshotting', 'paused']) await tell(first, state);
    await tell(second, 'stranded', { code: 'STEP_FAILED', detail: 'The disk is busy.' });
    measured.resolve();
    for (const page of pages) {
      await page.getByText(/h-away did not say/).waitFor();
      await seen(page, first, 'paused');
      await seen(page, second, 'stranded');
    }
  });
  const made = newSandboxId();
  // A sandbox comes and one goes while somebody aims at a row.
  for (const page of pages) await rowOf(page, third).hover();
  await staysStill(t, pages, async () => {
    await tell(made, 'running');
    await tell(third, 'destroying.disk');
    await tell(third, 'destroyed');
    for (const page of pages) await page.getByText(/1 new, 1 gone/).waitFor();
  });
  for (const [index, page] of pages.entries()) {
    await picture(page, `still-held-${WIDTHS[index]}`);
    t.match(await rowOf(page, third).innerText(), 'destroyed', 'it says that it is gone');
    await page.mouse.move(0, 0);
    await rowOf(page, made).waitFor();
    t.equal(await rowOf(page, third).count(), 0, 'who has left the list finds it as it is');
  }
});

t.test('a list is held by the keyboard, too, and shown as it is when that is asked for', async (t) => {
  const pages = await openAll(t, '/');
  const [, , , fourth = ''] = simulated;
  for (const page of pages) {
    await rowOf(page, fourth).waitFor();
    await page.getByRole('table', { name: 'Sandboxes' }).locator('tbody').focus();
    await page.keyboard.press('Tab');
  }
  const made = newSandboxId();
  await staysStill(t, pages, async () => {
    await tell(made, 'running');
    for (const page of pages) await page.getByRole('button', { name: '1 new – show' }).waitFor();
  });
  for (const page of pages) {
    await page.getByRole('button', { name: '1 new – show' }).press('Enter');
    await rowOf(page, made).waitFor();
  }
});

t.test('events', async (t) => {
  const pages = await openAll(t, '/events');
  const [, , , one = '', other = ''] = simulated;
  for (const page of pages) {
    await page.getByRole('row').filter({ hasText: one }).first().hover();
  }
  await staysStill(t, pages, async () => {
    for (const state of ['pausing.draining', 'pausing.snapshotting', 'paused']) {
      await tell(one, state);
      await tell(other, state);
    }
    for (const page of pages) await page.getByText(/6 new/).waitFor();
  });
});

t.test('one sandbox: state, output of a program, a command that fails', async (t) => {
  const pages = await openAll(t, `/sandboxes/${real.id}`);
  for (const page of pages) {
    await page.getByRole('heading', { name: real.id }).waitFor();
    await page
      .getByLabel('Shell command')
      .fill('sleep 2; for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.2; done');
    await page.getByRole('button', { name: 'Exec', exact: true }).click();
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor();
    // The newest transition is the first one: they wait while somebody aims at one.
    await page.getByText('creating.disk').hover();
  }
  await staysStill(t, pages, async () => {
    for (const page of pages) await page.getByText(/exit 0/).waitFor({ timeout: SLOW_MS });
    for (let pauses = 0; pauses < 4; pauses += 1) {
      const { status } = await http(server, 'POST', `/sandboxes/${real.id}/pause`);
      if (status !== 200) break;
      await send(t, 'resume');
    }
    for (const page of pages) await page.getByText('STEP_FAILED').first().waitFor({ timeout: SLOW_MS });
  });
  for (const [index, page] of pages.entries()) await picture(page, `still-sandbox-${WIDTHS[index]}`);
});

t.test('the visualizer of an actor', async (t) => {
  const pages = await openAll(t, `/visualizer/sandbox/${real.id}`);
  const isIn = async (state: string): Promise<void> => {
    for (const page of pages)
      await page
        .locator(`[data-state=${state}][data-current=true]`)
        .waitFor({ timeout: SLOW_MS })
        .catch(async (error: unknown) => {
          throw new Error(`${state}: the page shows ${await page.locator('main').innerText()}`, {
            cause: error,
          });
        });
  };
  await isIn('running');
  // Nobody aims at anything: the graph follows the state, the timeline its end. The tape is as long as what it shows.
  await staysStill(
    t,
    pages,
    async () => {
      await send(t, 'pause');
      await isIn('paused');
      // Refused: a row of its own.
      await send(t, 'ping', 409);
      await send(t, 'resume');
      await isIn('running');
    },
    { except: '.graph-window, .timeline-rows, .tape' },
  );
  for (const page of pages) await page.locator('.graph-window').hover();
  await staysStill(
    t,
    pages,
    async () => {
      await send(t, 'pause');
      await isIn('paused');
    },
    { except: '.timeline-rows, .tape' },
  );
  for (const page of pages) await page.getByRole('option').last().hover();
  await staysStill(
    t,
    pages,
    async () => {
      await send(t, 'resume');
      await isIn('running');
    },
    { except: '.graph-window, .tape' },
  );
});

t.test('hosts: their numbers change, one comes and one goes', async (t) => {
  const pages = await openAll(t, '/hosts');
  const card = (page: Page, id: string) => page.getByRole('article', { name: id });
  const hostOf = (id: string) => ({ ...exampleHost(id), at: new Date().toISOString() });
  await bus.hosts.announce(hostOf('h-sim'));
  for (const page of pages) await card(page, 'h-sim').waitFor();
  await staysStill(t, pages, async () => {
    await bus.hosts.announce({
      ...hostOf('h-sim'),
      state: 'draining',
      used: { vcpus: 12, memory_mb: 3000, sandboxes: 120 },
    });
    for (const page of pages) await card(page, 'h-sim').getByText('draining').waitFor();
    await bus.hosts.announce(hostOf('a-sim'));
    for (const page of pages) await card(page, 'a-sim').waitFor();
    await bus.hosts.withdraw('h-sim');
    for (const page of pages) await page.getByText('2 in the directory').waitFor();
  });
});

t.test('one host', async (t) => {
  const pages = await openAll(t, `/hosts/${real.host_id}`);
  for (const page of pages) await page.getByRole('heading', { name: /slots/i }).waitFor();
  await staysStill(t, pages, async () => {
    await send(t, 'pause');
    // The host writes its entry again, and the pages ask for it, every five seconds.
    for (const page of pages) await page.getByText('0 of').first().waitFor();
    await send(t, 'resume');
  });
});

t.test('templates: a build under way, and one of somebody else', async (t) => {
  const pages = await openAll(t, '/templates');
  for (const [index, page] of pages.entries()) {
    await page.getByRole('row').filter({ hasText: 'minimal' }).waitFor();
    await page.getByRole('button', { name: 'New template' }).click();
    const form = page.getByRole('form', { name: 'Build a template' });
    await form.getByLabel('Name', { exact: true }).fill(`built-${index}`);
    await form.getByLabel('Made from').selectOption('sandbox');
    await form.locator('select[name=sandbox_id]').selectOption(real.id);
  }
  await staysStill(t, pages, async () => {
    for (const page of pages) await page.getByRole('button', { name: 'Build', exact: true }).click();
    for (const [index, page] of pages.entries()) {
      await page.getByText(`built-${index} is made`).waitFor({ timeout: SLOW_MS });
      await page
        .getByText(/2 new|built-1/)
        .first()
        .waitFor({ timeout: SLOW_MS });
    }
  });
  for (const [index, page] of pages.entries()) await picture(page, `still-templates-${WIDTHS[index]}`);
});

import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import t from 'tap';
import { overflow, picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { http, type View } from '../../support/dormouse.ts';
import { up } from '../faults/support.ts';

/** Why did that pause fail, and what is it holding now? The visualizer in a real browser, on a sandbox whose pause is made to fail. */

t.setTimeout(300_000);

// The first save is that of the machine that sandboxes of the usual shape are cloned from; for another shape one more would be made.
const server = await up(t, { DORMOUSE_FAULTS: 'saveVm done:2=fail' });
const { open } = await startBrowser(t, server, { viewport: { width: 1600, height: 1000 } });
const { body: sandbox } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });
const page = await open(`/visualizer/sandbox/${sandbox.id}`);

const state = (id: string) => page.locator(`[data-state="${id}"]`);
const panel = (name: string) => page.locator(`[data-panel=${name}]`);
const rows = () => page.locator('[data-seq]');
const timelineOf = async (of: Page): Promise<string[]> => await of.locator('[data-seq]').allInnerTexts();

t.test('the present state is lit, and what the sandbox holds is told', async (t) => {
  await state('running').and(page.locator('[data-current=true]')).waitFor();
  t.equal(await page.locator('[data-current=true]').count(), 1, 'it is in one state');
  for (const kind of ['live', 'disk', 'slot', 'vmm'])
    t.match(await panel('ledger').innerText(), kind, `it holds ${kind}`);
  const allowed = await panel('allowed').innerText();
  for (const command of ['Pause', 'Exec', 'Destroy']) t.match(allowed, command, `it takes ${command}`);
  t.notMatch(await page.content(), /"secret"|dm-e2e-/, 'neither secrets nor paths of the host');
});

t.test('a pause that fails is seen as it happens: red, with its cause, the way back lit', async (t) => {
  await panel('allowed').getByRole('button', { name: 'Pause' }).click();
  const error = panel('error');
  await error.getByRole('heading', { name: /pause failed/ }).waitFor();
  t.match(await error.innerText(), /pausing\.snapshotting/, 'where');
  t.match(await error.innerText(), /made to fail at saveVm done/, 'why, down to the cause');
  t.match(await error.innerText(), /pausing\.thawing → running/, 'which way back it took');
  await state('running').and(page.locator('[data-current=true]')).waitFor();
  t.equal(await state('pausing.snapshotting').getAttribute('data-lit'), 'true', 'where it failed is lit');
  t.equal(await state('pausing.thawing').getAttribute('data-lit'), 'true', 'so is the way back');
  for (const id of ['pausing.detachingDisk', 'pausing.committing', 'paused'])
    t.equal(await state(id).getAttribute('data-lit'), 'false', `${id} was not reached`);
  const red = await page
    .locator('[data-kind=failure][data-seq]')
    .first()
    .evaluate((row) => row.textContent);
  t.match(red, /STEP_FAILED|VMM_FAILED|INTERNAL/, 'the timeline says so');
  t.match(await panel('ledger').innerText(), /vmm/, 'and what it is holding now');
  await picture(page, 'visualizer-failed-pause', { docs: true });
});

t.test('time travel: a moment of the past is shown as it was', async (t) => {
  const freezing = rows().filter({ hasText: 'pausing.freezing → pausing.snapshotting' }).first();
  await freezing.click();
  await page.getByText(/As it was at/).waitFor();
  t.equal(
    await page.locator('[data-current=true]').getAttribute('data-state'),
    'pausing.snapshotting',
    'the graph',
  );
  t.match(await panel('context').innerText(), /pause/, 'the context names the command');
  t.equal(await panel('allowed').getByRole('button').count(), 0, 'nothing is sent from the past');
  // Further back, by the keyboard.
  await page.keyboard.press('ArrowUp');
  await state('pausing.freezing').and(page.locator('[data-current=true]')).waitFor();
  await picture(page, 'visualizer-time-travel', { docs: true });
  // Before there was a virtual machine.
  await rows().filter({ hasText: 'creating.disk → creating.network' }).first().click();
  await state('creating.network').and(page.locator('[data-current=true]')).waitFor();
  const held = await panel('ledger').innerText();
  t.match(held, /live[\s\S]*disk[\s\S]*slot/, 'the ledger is as it was');
  t.notMatch(held, /vmm/);
  await page.getByRole('button', { name: 'Back to live' }).click();
  await state('running').and(page.locator('[data-current=true]')).waitFor();
  t.match(await panel('ledger').innerText(), /vmm/);
});

t.test('a refusal is shown, and what happens elsewhere is heard', async (t) => {
  t.equal((await http(server, 'POST', `/sandboxes/${sandbox.id}/resume`)).status, 409);
  await page.locator('[data-kind=refusal]').first().waitFor();
  t.match((await timelineOf(page)).join('\n'), /resume[\s\S]*refused/);
  const list = page.locator('.timeline-rows');
  t.ok(await list.evaluate((element) => element.scrollTop > 0), 'the end of the timeline is in sight');
  await list.evaluate((element) => {
    element.scrollTop = 0;
  });
  t.equal((await http(server, 'POST', `/sandboxes/${sandbox.id}/pause`)).status, 200, 'the next one works');
  await state('paused').and(page.locator('[data-current=true]')).waitFor();
  t.equal(await list.evaluate((element) => element.scrollTop), 0, 'who reads what was before is left there');
  const active = await list.getAttribute('aria-activedescendant');
  t.ok(active === null || (await page.locator(`#${active}`).count()) === 1, 'the active row is there');
});

t.test('after the page was loaded again it shows the same history', async (t) => {
  const before = await timelineOf(page);
  await page.reload();
  await state('paused').and(page.locator('[data-current=true]')).waitFor();
  const after = await timelineOf(page);
  const seqs = (lines: string[]): number => lines.filter((line) => !line.includes('refused')).length;
  t.equal(seqs(after), seqs(before), 'the records have every transition');
});

t.test('the host and its loop registry have pages, too', async (t) => {
  const { body } = await http<View & { host_id: string }>(server, 'GET', `/sandboxes/${sandbox.id}`);
  for (const kind of ['host', 'loop-registry']) {
    const other = await open(`/visualizer/${kind}/${body.host_id}`);
    await other.locator('[data-state=ready][data-current=true]').waitFor();
    await picture(other, `visualizer-${kind}`);
    t.same(await seriousViolations(other), [], kind);
    await other.close();
  }
});

t.test('a machine can be taken along', async (t) => {
  await page.getByText('Export').first().click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: /mermaid/i }).click(),
  ]);
  t.match(await readFile(await download.path(), 'utf8'), /^stateDiagram-v2/m);
});

t.test('it fits on a small window and a large one, and can be read by everybody', async (t) => {
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [360, 1280, 2560]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1000 });
      t.equal(await overflow(page), 0, `nothing is beyond the edge at ${width} px`);
      t.same(await seriousViolations(page), [], `${colorScheme}, ${width} px`);
      await picture(page, `visualizer-${width}-${colorScheme}`);
    }
});

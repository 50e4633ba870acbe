import type { Page } from 'playwright-core';
import t from 'tap';
import { overflow, picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { up } from '../faults/support.ts';

/** `/test` in a real browser: the whole life of a sandbox, with what was sent, what was answered, and how long it took. */

t.setTimeout(300_000);

const server = await up(t);
const { open } = await startBrowser(t, server);
const page = await open('/test');

/** What the page shows of the newest request of that name, once it was answered. */
async function answered(
  name: string,
): Promise<{ status: string; answer: string; curl: string; line: string }> {
  const entry = page.locator(`article[data-request="${name}"][data-status]`).first();
  await entry.waitFor();
  return {
    status: (await entry.getAttribute('data-status')) ?? '',
    answer: await entry.locator('[data-part=answer]').innerText(),
    curl: await entry.locator('[data-part=curl]').innerText(),
    line: await entry.locator('.request-line').innerText(),
  };
}

/** Presses a button and waits for the answer to what it sends. */
async function press(button: string, name: string): ReturnType<typeof answered> {
  const before = await page.locator(`article[data-request="${name}"][data-status]`).count();
  await page.getByRole('button', { name: button, exact: true }).click();
  await page
    .locator(`article[data-request="${name}"][data-status]`)
    .nth(before)
    .waitFor({ timeout: 120_000 });
  return await answered(name);
}

const stateShown = async (of: Page): Promise<string> =>
  await of.locator('#sandbox option:checked').innerText();

t.test('a sandbox is made, used, put to sleep, woken, and destroyed', async (t) => {
  await page.locator('#team').getByText('team').waitFor();
  const created = await press('Create', 'create');
  t.equal(created.status, '201');
  t.match(created.answer, /"state": "running"/);
  t.match(created.curl, /^curl .*-X POST '?http.*\/v1\/sandboxes/s, 'what was sent is shown');
  t.match(created.line, /\d (ms|s)/, 'and how long it took');
  const { id } = JSON.parse(created.answer) as { id: string };

  await page.locator('#cmd').fill('echo $((6 * 7)) > /run/kept; cat /run/kept');
  t.match(await press('Exec', 'exec'), { status: '200', answer: /"stdout": "42\\n"/ });
  t.match(await press('Pause', 'pause'), { status: '200', answer: /"state": "paused"/ });
  t.match(
    await press('Exec', 'exec'),
    { status: '409', answer: /SANDBOX_WRONG_STATE/ },
    'a refusal is shown',
  );
  t.match(await press('Resume', 'resume'), { status: '200', answer: /"state": "running"/ });
  await page.locator('#cmd').fill('cat /run/kept');
  t.match(
    await press('Exec', 'exec'),
    { status: '200', answer: /"stdout": "42\\n"/ },
    'its memory is as it was',
  );
  t.equal(await stateShown(page), `${id} (running)`);

  await page.locator('#snapshot-name').fill('from-the-page');
  t.match(await press('Snapshot', 'snapshot'), { status: '201', answer: /"name": "from-the-page"/ });
  t.match(await press('List snapshots', 'list snapshots'), { status: '200', answer: /"from-the-page"/ });
  t.match(await press('Delete snapshot', 'delete snapshot'), { status: '200' });
  const { answer: left } = await press('List snapshots', 'list snapshots');
  t.notMatch(left, /from-the-page/);
  await picture(page, 'test-page', { docs: true });

  t.match(await press('Destroy', 'destroy'), { status: '200', answer: /"state": "destroyed"/ });
  t.equal(await page.locator('#sandbox option').count(), 0);
});

t.test('it fits on a small window and a large one, and can be read by everybody', async (t) => {
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [360, 2560]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      t.equal(await overflow(page), 0, `nothing is beyond the edge at ${width} px`);
      t.same(await seriousViolations(page), [], `${colorScheme}, ${width} px`);
      await picture(page, `test-page-${width}-${colorScheme}`);
    }
});

t.test('a key that is wrong is said so', async (t) => {
  await page.locator('#key').fill('dm_wrong');
  await page.getByRole('button', { name: 'Use', exact: true }).click();
  await page.locator('#team').getByText('UNAUTHENTICATED').waitFor();
  t.match(await page.locator('#team').innerText(), /✕ UNAUTHENTICATED/);
});

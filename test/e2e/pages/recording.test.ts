import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { replay } from '../../simulation/parallel.ts';
import { recordingOf } from '../../simulation/recording.ts';
import { overflow, picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { up } from '../faults/support.ts';

/** A run of the simulation is opened from its file and stepped through, on the page that shows live actors. */

t.setTimeout(300_000);

const server = await up(t);
const { open } = await startBrowser(t, server, { viewport: { width: 1600, height: 1000 } });
const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-recording-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));

/** Runs the simulation with a fault and writes the recording; a run that nothing is wrong with gets the violation that it is told. */
async function recorded(name: string, violation?: string): Promise<string> {
  const fault = { class: 'step', at: 8, kind: 'reply lost' } as const;
  const told = await replay({ tape: { scenario: 'a clone', faults: [fault], choices: [] } });
  const file = path.join(dir, `${name}.recording.json`);
  const violations = violation ? [violation] : told.violations;
  await writeFile(file, JSON.stringify(recordingOf({ ...told, violations }, 7)));
  return file;
}

const page = await open('/visualizer');
await page.getByRole('link', { name: 'Open a recording' }).click();

t.test('what is no recording is refused, and says why', async (t) => {
  const file = path.join(dir, 'other.json');
  await writeFile(file, '{"v":1}');
  await page.locator('input[type=file]').setInputFiles(file);
  t.match(await page.getByRole('alert').innerText(), /other\.json cannot be opened\. \S+/);
});

t.test('a run with a violation: what was violated, the fault, and each step', async (t) => {
  await page.locator('input[type=file]').setInputFiles(await recorded('failed', 'the vCPUs stand still'));
  await page.locator('[data-panel=violations]').getByText('✕ the vCPUs stand still').waitFor();
  t.match(await page.getByRole('list', { name: 'Faults' }).innerText(), /step:8 reply lost/);
  const actors = page.getByLabel('Actor', { exact: true });
  const sandbox = await actors
    .locator('option')
    .filter({ hasText: /^sandbox/ })
    .first()
    .getAttribute('value');
  await actors.selectOption(sandbox);
  const failed = page.locator('[data-seq][data-kind=failure]').first();
  await failed.click();
  await page.locator('[data-state="pausing.thawing"][data-current=true]').waitFor();
  t.match(await page.locator('[data-panel=error]').innerText(), /pause failed[\s\S]*saveVm/);
  await picture(page, 'visualizer-recording', { docs: true });
});

t.test('it is stepped through with the keys', async (t) => {
  const time = page.locator('.player-time');
  await page.getByRole('heading', { level: 1 }).focus();
  const before = await time.innerText();
  await page.keyboard.press('ArrowRight');
  const after = await time.innerText();
  t.equal(Number.parseInt(after, 10), Number.parseInt(before, 10) + 1);
  await page.keyboard.press('ArrowLeft');
  t.equal(await time.innerText(), before);
  await page.getByRole('button', { name: 'To the end' }).click();
  const [, last, all] = /(\d+) of (\d+)/.exec(await time.innerText()) ?? [];
  t.equal(last, all);
});

t.test('another one of the same scenario takes its place', async (t) => {
  await page.locator('input[type=file]').setInputFiles(await recorded('well'));
  await page.getByText('Nothing was violated.').waitFor();
  t.match(await page.locator('.player-time').innerText(), /^1 of /);
});

t.test('it fits on a small window and a large one, and can be read by everybody', async (t) => {
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [360, 2560]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 1000 });
      t.equal(await overflow(page), 0, `nothing is beyond the edge at ${width} px`);
      t.same(await seriousViolations(page), [], `${colorScheme}, ${width} px`);
    }
});

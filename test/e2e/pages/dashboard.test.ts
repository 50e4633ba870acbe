import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Locator } from 'playwright-core';
import t from 'tap';
import { DEFAULT_TEAM_ID } from '../../../src/ids.ts';
import { overflow, picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { http, type View } from '../../support/dormouse.ts';
import { up } from '../faults/support.ts';

/** The dashboard in a real browser, on a real server: sandboxes, templates, snapshots, hosts, the pages of admins. */

t.setTimeout(600_000);
/** Longest wait for what a virtual machine is started for, in milliseconds. */
const SLOW_MS = 120_000;

const server = await up(t);
const { open } = await startBrowser(t, server);
const page = await open('/');
// A command that asks for something opens one over the menu.
const dialog = page.getByRole('dialog').last();
const button = (of: Locator | typeof page, name: string | RegExp): Locator =>
  of.getByRole('button', { name, exact: typeof name === 'string' });
const rowsOf = (table: string): Locator => page.getByRole('table', { name: table }).getByRole('row');
const rowOf = (id: string): Locator => rowsOf('Sandboxes').filter({ hasText: id });
/** Waits until the row of the sandbox shows the state. */
const shows = (id: string, state: string): Promise<void> =>
  rowOf(id).getByText(state, { exact: true }).waitFor({ timeout: SLOW_MS });

/** The newest request in the bar, opened. */
async function lastRequest(): Promise<{ curl: string; nats: string; status: string }> {
  const bar = page.getByRole('region', { name: 'Requests' });
  const head = bar.getByRole('button').first();
  if ((await head.getAttribute('aria-expanded')) === 'false') await head.click();
  const entry = bar.locator('article').first();
  await bar.locator('article[data-status]').first().waitFor();
  const nats = entry.locator('[data-part=nats]');
  const shown = {
    curl: await entry.locator('[data-part=curl]').innerText(),
    nats: (await nats.count()) > 0 ? await nats.innerText() : '',
    status: (await entry.getAttribute('data-status')) ?? '',
  };
  await head.click();
  return shown;
}

const { body: first } = await http<View>(server, 'POST', '/sandboxes', { template: 'minimal' });

t.test('what there is, live', async (t) => {
  await shows(first.id, 'running');
  // What the stream does not tell is asked for a moment later.
  await rowOf(first.id).getByText('512 MiB').waitFor();
  t.match(await rowOf(first.id).innerText(), /minimal[\s\S]*20\.0 GiB/, 'its template and its sizes');
  await http(server, 'POST', `/sandboxes/${first.id}/pause`);
  await shows(first.id, 'paused');
});

t.test('a row pauses and resumes, and each request is shown as it can be sent by hand', async (t) => {
  await button(page, `Resume ${first.id}`).click();
  await shows(first.id, 'running');
  t.equal(
    await page.evaluate<string>('document.activeElement.tagName'),
    'BUTTON',
    'the focus stays in the row',
  );
  const { curl, nats, status } = await lastRequest();
  t.equal(status, '200');
  t.match(curl, new RegExp(`curl .*-X POST .*/v1/sandboxes/${first.id}/resume`, 's'));
  t.match(nats, new RegExp(`nats req .*dormouse\\.sandbox\\.[0-9a-f-]+\\.${first.id}\\.resume`, 's'));
  const sent = await execa('sh', ['-c', curl.replace('/resume', '/pause')], {
    env: { DORMOUSE_API_KEY: server.key },
  });
  t.match(sent.stdout, /"state":"paused"/, 'the line works in a shell');
  await shows(first.id, 'paused');
  await button(page, `Resume ${first.id}`).click();
  await shows(first.id, 'running');
});

t.test('a sandbox is made with the form', async (t) => {
  await button(page, 'New sandbox').click();
  const form = page.getByRole('form', { name: 'Create a sandbox' });
  await form.getByLabel('Memory, MiB').fill('256');
  await form.getByLabel('Metadata').fill('user=ada task=7');
  await button(form, 'Create').click();
  await form.getByText(/sb-.* runs/).waitFor({ timeout: SLOW_MS, state: 'attached' });
  await button(page, 'Close the form').click();
  const made = rowsOf('Sandboxes').filter({ hasText: '256 MiB' });
  await made.getByText('running', { exact: true }).waitFor();
  await page.getByRole('searchbox').fill('task=7');
  await page.getByText('1 found').waitFor();
  t.equal(await rowOf('sb-').count(), 1, 'it is found by its metadata');
  await page.getByRole('searchbox').fill('');
});

t.test('exec with its output, on the page of the sandbox', async (t) => {
  await rowOf(first.id).getByRole('link', { name: first.id }).click();
  await page.getByRole('heading', { name: first.id }).waitFor();
  const output = page.getByRole('log', { name: 'Output' });
  await page.getByLabel('Shell command').fill('echo $((6 * 7)); echo wrong >&2; exit 3');
  await button(page, 'Exec').click();
  await output.getByText('42').waitFor({ timeout: SLOW_MS });
  await output.getByText('wrong').last().waitFor();
  await output.getByText(/✕ exit 3/).waitFor();
  await picture(page, 'sandbox', { docs: true });
  const prompt = page.getByLabel('Shell command');
  await prompt.fill('sleep 1000');
  await prompt.press('Enter');
  await button(page, 'Stop').waitFor();
  await prompt.fill('echo second');
  await prompt.press('Enter');
  t.equal(await prompt.inputValue(), 'echo second', 'a second program waits until the first has ended');
  await button(page, 'Stop').click();
  await output.getByText('stopped').waitFor();
  await prompt.press('Enter');
  await output.getByText('second', { exact: true }).waitFor({ timeout: SLOW_MS });
  await page.goto(`${server.url}/`);
});

t.test('fork, snapshot and destroy, out of the menu', async (t) => {
  const menu = async (id: string, command: string): Promise<void> => {
    await button(page, `More ${id}`).click();
    await button(dialog, command).click();
  };
  await shows(first.id, 'running');
  await menu(first.id, 'Fork');
  await dialog.locator('form').getByRole('spinbutton').fill('2');
  await button(dialog.locator('form'), 'Fork').click();
  await page.getByText('4', { exact: true }).first().waitFor({ timeout: SLOW_MS });
  t.equal(
    (await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes')).body.sandboxes.length,
    4,
    'there are two more',
  );
  await menu(first.id, 'Snapshot');
  await dialog.locator('form').getByRole('textbox').first().fill('kept');
  await button(dialog.locator('form'), 'Snapshot').click();
  await dialog.waitFor({ state: 'hidden', timeout: SLOW_MS });
  await page.getByRole('link', { name: 'Snapshots' }).click();
  await rowsOf('Snapshots').filter({ hasText: 'kept' }).waitFor();
  // No other sandbox takes the place of the one that is chosen.
  const { sandboxes } = (await http<{ sandboxes: View[] }>(server, 'GET', '/sandboxes')).body;
  const last = sandboxes.find(({ id }) => id !== first.id)?.id ?? '';
  const choice = page.getByRole('form', { name: 'Make a snapshot' }).getByLabel('Sandbox');
  await choice.selectOption(last);
  await http(server, 'DELETE', `/sandboxes/${last}`);
  await choice.getByText(`${last} (gone)`).waitFor({ state: 'attached', timeout: SLOW_MS });
  t.equal(await choice.inputValue(), last);
  await page.getByRole('link', { name: 'Sandboxes' }).click();
  await button(page, `More ${first.id}`).click();
  await dialog.getByRole('link', { name: 'Details' }).click();
  await page.getByRole('heading', { name: first.id }).waitFor();
  await page.getByRole('link', { name: 'Sandboxes' }).click();
  await shows(first.id, 'running');
  t.equal(await dialog.count(), 0, 'a menu that was left does not open by itself');
  await menu(first.id, 'Destroy');
  t.match(await dialog.innerText(), first.id, 'it asks first');
  await button(dialog.locator('form'), 'Destroy').click();
  // A row that is gone stays while the pointer is in the list.
  await page.mouse.move(0, 0);
  await rowOf(first.id).waitFor({ state: 'hidden', timeout: SLOW_MS });
  await picture(page, 'dashboard', { docs: true });
});

t.test('a template is built from an upload, and one that is no archive is refused with why', async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-pages-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const tar = path.join(dir, 'rootfs.tar');
  await execa('sh', [
    '-c',
    `mkdir -p "$1/root/bin" && cp /bin/busybox "$1/root/bin/" && ln -s busybox "$1/root/bin/sh" && tar -C "$1/root" -cf "$2" .`,
    'sh',
    dir,
    tar,
  ]);
  await page.getByRole('link', { name: 'Templates' }).click();
  await rowsOf('Templates').filter({ hasText: 'minimal' }).waitFor();
  const form = page.getByRole('form', { name: 'Build a template' });
  if (!(await form.isVisible()))
    await button(page, /build|new/i)
      .first()
      .click();
  await form.getByLabel('Name', { exact: true }).fill('uploaded');
  await form.locator('input[type=file]').setInputFiles({
    name: 'rootfs.tar',
    mimeType: 'application/x-tar',
    buffer: Buffer.from('no archive'),
  });
  await button(form, 'Build').click();
  await form.getByText(/TEMPLATE_INVALID|ARCHIVE/).waitFor({ timeout: SLOW_MS });
  await form.locator('input[type=file]').setInputFiles(tar);
  await button(form, 'Build').click();
  await rowsOf('Templates').filter({ hasText: 'uploaded' }).waitFor({ timeout: SLOW_MS });
  await picture(page, 'templates', { docs: true });
});

t.test('hosts: what they have and hold', async (t) => {
  await page.getByRole('link', { name: 'Hosts' }).click();
  await page.getByRole('link', { name: /^h-/ }).first().click();
  await page.getByRole('heading', { name: /^h-/ }).waitFor();
  await page.getByRole('heading', { name: /slots/i }).waitFor();
  const text = await page.locator('main').innerText();
  for (const word of ['slots', 'loop devices', 'no leak']) t.match(text.toLowerCase(), word);
  await picture(page, 'host', { docs: true });
});

t.test('the admin page has the templates of all teams', async (t) => {
  const { body: team } = await http<{ id: string }>(server, 'POST', '/admin/teams', { name: 'other' });
  await page.goto(`${server.url}/admin?view=templates`);
  const table = rowsOf('Templates of all teams');
  await table.filter({ hasText: 'minimal' }).filter({ hasText: 'platform' }).waitFor();
  await table.filter({ hasText: 'uploaded' }).waitFor();
  await picture(page, 'admin-templates', { docs: true });
  await page.goto(`${server.url}/admin`);
  await page.getByText('other').first().waitFor();
  t.ok(team.id, 'a team that was made meanwhile');
});

t.test('a key without the right sees neither hosts nor admin', async (t) => {
  const { body: teams } = await http<{ teams: Array<{ id: string; name: string }> }>(
    server,
    'GET',
    '/admin/teams',
  );
  const team = teams.teams.find(({ name }) => name === 'other');
  const { body: made } = await http<{ key: string }>(server, 'POST', `/admin/teams/${team?.id}/keys`, {
    name: 'reader',
    scopes: ['read'],
  });
  const { open: openAs } = await startBrowser(t, { url: server.url, key: made.key });
  const other = await openAs('/');
  await other.getByText('There is no sandbox').waitFor();
  t.equal(await other.getByRole('link', { name: 'Admin' }).count(), 0);
  t.equal(await other.getByRole('link', { name: 'Hosts' }).count(), 0);
  t.equal(await button(other, 'New sandbox').count(), 0, 'and cannot make anything');

  const { body: own } = await http<{ key: string }>(server, 'POST', `/admin/teams/${DEFAULT_TEAM_ID}/keys`, {
    name: 'reader',
    scopes: ['read'],
  });
  const { open: openReader } = await startBrowser(t, { url: server.url, key: own.key });
  const reader = await openReader('/');
  const row = reader
    .getByRole('table', { name: 'Sandboxes' })
    .getByRole('row')
    .filter({ hasText: 'running' });
  await row.first().waitFor();
  t.equal(await row.first().getByRole('button').count(), 1, 'of the commands there is only the menu');
  await row.first().getByRole('button').click();
  await reader.getByRole('dialog').locator('[data-panel=commands]').waitFor({ state: 'attached' });
  t.equal(await reader.getByRole('dialog').locator('[data-panel=commands] button').count(), 0);
});

t.test('every page fits every window, and can be read by everybody', async (t) => {
  for (const where of ['/', '/templates', '/snapshots', '/events', '/hosts', '/admin', '/admin?view=audit'])
    for (const colorScheme of ['light', 'dark'] as const)
      for (const width of [360, 2560]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 900 });
        await page.goto(server.url + where);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.getByText('live', { exact: true }).first().waitFor();
        t.equal(await overflow(page), 0, `${where}: nothing is beyond the edge at ${width} px`);
        t.same(await seriousViolations(page), [], `${where}: ${colorScheme}, ${width} px`);
        const name = where.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'sandboxes';
        await picture(page, `${name}-${width}-${colorScheme}`);
      }
});

t.test('by the keyboard alone', async (t) => {
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${server.url}/`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.keyboard.press('Tab');
  t.match(
    await page.evaluate<string>('document.activeElement.textContent'),
    /skip/i,
    'first the way past the menu',
  );
  await page.getByRole('link', { name: 'Templates' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL('**/templates');
  await page.locator('h1:focus').waitFor();
  t.equal(
    await page.evaluate<string>('document.activeElement.textContent'),
    'Templates',
    'the heading is read first',
  );
  await page.getByRole('link', { name: 'Admin' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Audit log' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL('**/admin?view=audit');
  await page.locator('h1:focus').waitFor();
});

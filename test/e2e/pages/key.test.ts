import t from 'tap';
import { picture, seriousViolations, startBrowser } from '../../support/browser.ts';
import { up } from '../faults/support.ts';

/** Who may see the pages: whoever enters a key, in that tab, until it is closed; everybody where no key is asked for. */

t.setTimeout(300_000);

t.test('a key is asked for, once in a tab', async (t) => {
  const server = await up(t);
  const { open } = await startBrowser(t, { url: server.url, key: '' });
  const page = await open('/templates');
  const key = page.getByLabel('API key, kept in this tab until it is closed');
  await key.waitFor();
  t.same(await seriousViolations(page), []);
  await picture(page, 'key');

  await key.fill('dm_wrong');
  await page.getByRole('button', { name: 'Use', exact: true }).click();
  await page.getByText('UNAUTHENTICATED').waitFor();

  await key.fill(server.key);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Templates', level: 1 }).waitFor();
  await page.getByRole('row').filter({ hasText: 'minimal' }).waitFor();
  await page.getByRole('link', { name: 'Events' }).click();
  await page.getByRole('heading', { name: 'Events', level: 1 }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Events', level: 1 }).waitFor();
  t.same(await page.context().cookies(), [], 'there is no cookie');
  t.equal(await page.evaluate<number>('localStorage.length'), 0, 'and nothing that outlives the tab');

  const other = await open('/');
  await other.getByLabel('API key, kept in this tab until it is closed').waitFor();
  t.equal(await other.getByRole('table').count(), 0, 'another tab asks for itself');
});

t.test('where no key is asked for, none is needed', async (t) => {
  const server = await up(t, { DORMOUSE_AUTH: 'none' });
  const { open } = await startBrowser(t, { url: server.url, key: '' });
  const page = await open('/');
  await page.getByText('There is no sandbox').waitFor();
  await page.getByRole('link', { name: 'Hosts' }).click();
  await page.locator('[data-ready=true]').first().waitFor();
  t.equal(await page.getByLabel(/^API key/).count(), 0);
});

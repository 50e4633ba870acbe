import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import {
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
  type Request,
} from 'playwright-core';
import type { Test } from 'tap';
import type { Running } from './dormouse.ts';

/** A real browser, Debian's Chromium, on a real server. */

const CHROMIUM = '/usr/bin/chromium';
const REPO = path.join(import.meta.dirname, '..', '..');
/** Where pictures of pages go; with `DORMOUSE_TEST_UPDATE_DOCS` those that the documents show are made anew. */
const PICTURES = path.join(REPO, '.cache', 'screenshots');
const DOCS_PICTURES = path.join(REPO, 'docs', 'images');
/** Longest wait for something on a page: these machines are shared. */
const WAIT_MS = 30_000;

export interface Pages {
  /** Opens a page of the server, in a tab whose session has the key. */
  open(where: string): Promise<Page>;
  context: BrowserContext;
}

/**
 * Starts a browser for a test; its teardown ends it and fails when a page logged an error, broke its content security policy, or asked
 * anybody but the server for something.
 *
 * @param server with the key that tabs begin with; an empty one for none
 * @param options of the browser's context, such as the size of the window
 */
export async function startBrowser(
  t: Test,
  server: Pick<Running, 'url' | 'key'>,
  options: BrowserContextOptions = {},
): Promise<Pages> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    // Tests run as root, where Chromium has no sandbox; it is shown our own pages only.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--font-render-hinting=none'],
  });
  t.teardown(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  // The empty page that a tab begins with has no storage.
  await context.addInitScript((key) => {
    const { location } = globalThis as unknown as { location: URL };
    if (key !== '' && location.protocol.startsWith('http')) sessionStorage.setItem('dormouse-api-key', key);
  }, server.key);
  const wrong: string[] = [];
  context.on('console', (message) => {
    // The browser's own note of an answer that is no success; what the page makes of it is for the tests.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      wrong.push(message.text());
  });
  context.on('weberror', (error) => wrong.push(String(error.error())));
  context.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(server.url) && !/^(data|blob):/.test(url)) wrong.push(`asked for ${url}`);
  });
  t.teardown(() => {
    if (wrong.length > 0) throw new Error(`a page did what it should not:\n${wrong.join('\n')}`);
  });
  return {
    context,
    async open(where) {
      const page = await context.newPage();
      for (let tries = 1; ; tries += 1) if (await hasOpened(page, server.url + where, tries)) return page;
    },
  };
}

/** How often a page is opened anew. */
const OPENS_MAX = 5;

/**
 * Opens an address. Chromium drops what it is connecting for when an address of this machine comes or goes, as those of other tests'
 * sandboxes do: a page or a part of it that did not come for that is no page, and a person would load it again.
 */
async function hasOpened(page: Page, url: string, tries: number): Promise<boolean> {
  let isDropped = false;
  const note = (request: Request): void => {
    const isPart = ['document', 'script', 'stylesheet'].includes(request.resourceType());
    if (isPart && request.failure()?.errorText === 'net::ERR_NETWORK_CHANGED') isDropped = true;
  };
  page.on('requestfailed', note);
  try {
    await page.goto(url);
  } catch (error) {
    if (!isDropped || tries === OPENS_MAX) throw error;
  } finally {
    page.off('requestfailed', note);
  }
  return !isDropped || tries === OPENS_MAX;
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core finds that is serious or worse: the rule and where. */
export async function seriousViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: Array<{
            id: string;
            impact: string;
            nodes: Array<{ target: unknown[]; failureSummary: string }>;
          }>;
        }>;
      };
    };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')} (${failureSummary})`),
      );
  });
}

/** Takes a picture of what is to be seen. Those that the documents show are written there when they are made anew. */
export async function picture(page: Page, name: string, { docs = false } = {}): Promise<void> {
  const folder = docs && process.env.DORMOUSE_TEST_UPDATE_DOCS ? DOCS_PICTURES : PICTURES;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), animations: 'disabled' });
}

/** How many pixels of the page are beyond its right edge. */
export async function overflow(page: Page): Promise<number> {
  return await page.evaluate<number>(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );
}

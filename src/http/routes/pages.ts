import { access } from 'node:fs/promises';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import { DormouseError } from '../../errors/index.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';

/** Where the set-up builds the pages. */
const UI_DIR = path.join(import.meta.dirname, '..', '..', '..', '.cache', 'ui');

/** Addresses of the page that has a router of its own. */
const PAGES = [
  '/',
  '/sandboxes/*',
  '/templates',
  '/snapshots',
  '/events',
  '/hosts',
  '/hosts/*',
  '/admin',
  '/visualizer',
  '/visualizer/*',
];

/** Nothing from elsewhere, and no script or style but the files of the page. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The pages for people, and the plain one at `/test` to try the API by hand. They need no key: what they show they ask of the
 * routes under `/v1`, with the key that a person enters. A page is asked for again each time; what it loads has the hash of
 * its content in its name, and is kept by browsers.
 */
export async function addPages(app: EdgeApp, { uiDir = UI_DIR }: EdgePorts): Promise<void> {
  await app.register(fastifyStatic, {
    root: path.join(uiDir, 'ui'),
    prefix: '/ui/',
    index: false,
    immutable: true,
    maxAge: '1y',
    // The set-up has put compressed files beside them.
    preCompressed: true,
    // Before the set-up has built the pages there is none, which `page` says.
    suppressWarning: true,
  });
  for (const url of PAGES) page(url, 'index.html');
  page('/test', 'test.html');

  function page(url: string, file: string): void {
    app.get(url, { schema: { hide: true } }, async (_, reply) => {
      await access(path.join(uiDir, file)).catch((cause: unknown) => {
        throw new DormouseError(
          'PAGES_NOT_BUILT',
          'The pages of this edge are not built. Run `npm run setup` where it is installed. The API is there: see /docs.',
          { cause },
        );
      });
      reply.headers({ 'content-security-policy': PAGE_POLICY, 'cache-control': 'no-cache' });
      return reply.sendFile(file, uiDir, { cacheControl: false });
    });
  }
}

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { EdgeApp } from '../ports.ts';

const PAGE = path.join(import.meta.dirname, '..', 'pages', 'test.html');

/** `/test`: one file that lets a person try the API by hand. It asks for the key and loads nothing from elsewhere. */
export async function addTestPage(app: EdgeApp): Promise<void> {
  const html = await readFile(PAGE, 'utf8');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, 'script')}`,
    `style-src ${hashOf(html, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  app.get('/test', { schema: { hide: true } }, async (_, reply) =>
    reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(html),
  );
}

/** The page's one script or style as a source of a content security policy: only this text may run. */
function hashOf(html: string, tag: 'script' | 'style'): string {
  const text = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html)?.[1] ?? '';
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { buildUi, filesOf, makeUi, sizeOf, uiDir, uiIsCurrent, uiManifest } from '../../scripts/setup/ui.mjs';

const REPO = path.join(import.meta.dirname, '..', '..');
/** The page that one sees first, with all that it loads at once, in bytes as they are sent. */
const FIRST_GZIP_MAX = 200_000;

const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-ui-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));
const built = path.join(folder, 'built');
buildUi(REPO, built);
const manifest = uiManifest(built);

t.test('the first page is small, and the visualizer is loaded when it is asked for', async (t) => {
  const first = filesOf(manifest, 'index.html');
  const { gzip } = sizeOf(built, ['index.html', ...first]);
  t.ok(gzip < FIRST_GZIP_MAX, `${gzip} bytes`);
  t.ok(gzip > 5_000, 'it is measured');
  const visualizer = manifest['visualizer/index.tsx'];
  t.ok(visualizer, 'there is one');
  t.ok(manifest['index.html']?.dynamicImports?.includes('visualizer/index.tsx'));
  for (const file of [visualizer?.file, ...(visualizer?.css ?? [])])
    t.equal(file !== undefined && first.has(file), false, `${file}`);
});

t.test('the page loads at once what the manifest says, and nothing else', async (t) => {
  for (const page of ['index.html', 'test.html']) {
    const html = await readFile(path.join(built, page), 'utf8');
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url = '']) => url);
    const scripts = loaded.filter((url) => url.endsWith('.js')).map((url) => url.slice(1));
    const known = filesOf(manifest, page);
    t.same(
      scripts.filter((file) => !known.has(file)),
      [],
      page,
    );
    t.same(
      loaded.filter((url) => !url.startsWith('/ui/')),
      ['data:,'],
      `${page} loads from its own server`,
    );
    t.notMatch(html, /<script(?![^>]* src=)|<style|style="|\son\w+="/, `${page} fits a strict policy`);
  }
});

t.test('nothing names a third party', async (t) => {
  const files = await readdir(path.join(built, 'ui'));
  const urls = await Promise.all(
    files.map(async (file) =>
      (await readFile(path.join(built, 'ui', file), 'utf8')).match(/https?:\/\/[^"'`\s)]+/g),
    ),
  );
  // The names of XML namespaces, which nobody asks for.
  t.same(
    urls.flatMap((found) => found ?? []).filter((url) => !url.startsWith('http://www.w3.org/')),
    [],
  );
});

t.test('the pages are built again when a source of theirs has changed, and only then', async (t) => {
  const repo = path.join(folder, 'repo');
  await mkdir(path.join(repo, 'src'), { recursive: true });
  for (const part of ['src', 'scripts', 'package-lock.json', 'tsconfig.json'])
    await cp(path.join(REPO, part), path.join(repo, part), { recursive: true });
  await symlink(path.join(REPO, 'node_modules'), path.join(repo, 'node_modules'));
  t.equal(uiIsCurrent(repo), false, 'there are none');
  const report = makeUi(repo);
  t.equal(uiIsCurrent(repo), true);
  t.match(report.join('\n'), /first +[\d.]+ kB, +[\d.]+ kB with gzip\n(?:.*\n)*.*visualizer +[\d.]+ kB/);
  const before = await readdir(path.join(uiDir(repo), 'ui'));

  await writeFile(path.join(repo, 'src', 'http', 'unrelated.ts'), 'export {};\n');
  t.equal(uiIsCurrent(repo), true, 'a file of the server');
  await change(path.join(repo, 'src', 'machines', 'match.ts'));
  t.equal(uiIsCurrent(repo), false, 'a file beside them that they import');
  makeUi(repo);
  t.equal(uiIsCurrent(repo), true);
  t.same(
    await readdir(path.join(uiDir(repo), 'ui')),
    before,
    'a comment changes no name: browsers keep what they have',
  );
  await change(path.join(repo, 'src', 'ui', 'style', 'base.css'));
  t.equal(uiIsCurrent(repo), false, 'a style');
});

async function change(file: string): Promise<void> {
  await writeFile(file, `${await readFile(file, 'utf8')}\n/* changed */\n`);
}

// @ts-check
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { pinnedNode } from './npm-packages.mjs';
import { run } from './run.mjs';

/**
 * The pages that the edge serves, in `.cache/ui`: built by Vite from `src/ui`, with a file `inputs`, written last, which has
 * the SHA-256 of what they were built from.
 *
 * @typedef {{ file: string, src?: string, isEntry?: boolean, imports?: string[], dynamicImports?: string[], css?: string[] }} Chunk
 * @typedef {Record<string, Chunk>} UiManifest as Vite writes it: by the path of the source
 * @typedef {{ raw: number, gzip: number }} Size in bytes
 */

/** What the browser is given first, by the name of its page, and what it loads when a page within it is opened. */
const ENTRY = 'index.html';

/** @param {string} repo @returns {string} */
export function uiDir(repo) {
  return path.join(repo, '.cache', 'ui');
}

/** True when the pages are there and were built from what the sources are now. @param {string} repo */
export function uiIsCurrent(repo) {
  try {
    return readFileSync(path.join(uiDir(repo), 'inputs'), 'utf8') === hashOfInputs(repo);
  } catch {
    return false;
  }
}

/**
 * Builds the pages, whether they are there or not, and returns a line for each with its size. Those of before are replaced
 * when the new ones are whole.
 *
 * @param {string} repo root of the checkout
 * @returns {string[]}
 * @throws {import('./run.mjs').SetupError}
 */
export function makeUi(repo) {
  const dir = uiDir(repo);
  const fresh = `${dir}.new`;
  const inputs = hashOfInputs(repo);
  buildUi(repo, fresh);
  compressAssets(fresh);
  writeFileSync(path.join(fresh, 'inputs'), inputs);
  rmSync(dir, { recursive: true, force: true });
  renameSync(fresh, dir);
  return sizesOf(dir);
}

/**
 * Has Vite build the pages into a folder, which it empties first.
 *
 * @param {string} repo
 * @param {string} outDir
 * @throws {import('./run.mjs').SetupError}
 */
export function buildUi(repo, outDir) {
  const vite = path.join(repo, 'node_modules', 'vite', 'bin', 'vite.js');
  const config = path.join(repo, 'src', 'ui', 'vite.config.ts');
  const build = ['build', '--config', config, '--outDir', outDir, '--emptyOutDir', '--logLevel', 'warn'];
  // Vite has Node keep what it compiled, in a folder beside other programs' temporary files that nobody removes.
  run(pinnedNode(repo), [vite, ...build], { env: { NODE_DISABLE_COMPILE_CACHE: '1' } });
}

/**
 * Puts a compressed file beside each that a page loads, for the edge to send to browsers that take it.
 *
 * @param {string} dir where the pages were built
 */
function compressAssets(dir) {
  const assets = path.join(dir, 'ui');
  for (const name of readdirSync(assets)) {
    const file = path.join(assets, name);
    const content = readFileSync(file);
    writeFileSync(`${file}.br`, brotliCompressSync(content));
    writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
  }
}

/** @param {string} dir where the pages were built @returns {UiManifest} */
export function uiManifest(dir) {
  return JSON.parse(readFileSync(path.join(dir, 'manifest.json'), 'utf8'));
}

/**
 * The files that a browser loads for a chunk before it runs: its own and those that it imports.
 *
 * @param {UiManifest} manifest
 * @param {string} name of the chunk in the manifest
 * @param {Set<string>} [seen] names that were visited
 * @returns {Set<string>} paths within the folder that the pages were built into
 */
export function filesOf(manifest, name, seen = new Set()) {
  const chunk = manifest[name];
  if (!chunk || seen.has(name)) return new Set();
  seen.add(name);
  const imported = (chunk.imports ?? []).flatMap((other) => [...filesOf(manifest, other, seen)]);
  return new Set([chunk.file, ...(chunk.css ?? []), ...imported]);
}

/** @param {string} dir @param {Iterable<string>} files @returns {Size} */
export function sizeOf(dir, files) {
  const contents = [...files].map((file) => readFileSync(path.join(dir, file)));
  return {
    raw: contents.reduce((sum, content) => sum + content.length, 0),
    gzip: contents.reduce((sum, content) => sum + gzipSync(content).length, 0),
  };
}

/** A line for what is loaded first, and one for what each page within it loads besides. @param {string} dir */
function sizesOf(dir) {
  const manifest = uiManifest(dir);
  const first = filesOf(manifest, ENTRY);
  const pages = (manifest[ENTRY]?.dynamicImports ?? []).map((name) => ({
    title: path.dirname(name).replace(/^pages\//, ''),
    size: sizeOf(
      dir,
      [...filesOf(manifest, name)].filter((file) => !first.has(file)),
    ),
  }));
  const test = filesOf(manifest, 'test.html');
  return [
    sizeLine('first', sizeOf(dir, [ENTRY, ...first])),
    ...pages.map(({ title, size }) => sizeLine(title, size)),
    sizeLine('test page', sizeOf(dir, ['test.html', ...test])),
  ];
}

/** @param {string} title @param {Size} size */
function sizeLine(title, { raw, gzip }) {
  /** @param {number} bytes */
  const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1).padStart(6)} kB`;
  return `  ${title.padEnd(12)} ${kilobytes(raw)}, ${kilobytes(gzip)} with gzip`;
}

/** Hash of all that the pages are built from. @param {string} repo */
function hashOfInputs(repo) {
  const ui = path.join(repo, 'src', 'ui');
  const own = readdirSync(ui, { recursive: true })
    .map((name) => path.join(ui, String(name)))
    .filter((file) => statSync(file).isFile());
  const files = [
    ...withImports(own),
    path.join(repo, 'package-lock.json'),
    path.join(repo, 'scripts', 'setup', 'ui.mjs'),
  ];
  const hash = createHash('sha256');
  for (const file of files.sort())
    hash
      .update(`${path.relative(repo, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

/** Sources, what they import, and what that imports in turn; types leave no trace in what is built. @param {string[]} files */
function withImports(files) {
  /** @type {Set<string>} */
  const found = new Set(files);
  for (const file of found) {
    if (!/\.tsx?$/.test(file)) continue;
    const imports = readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm,
    );
    for (const [, name = '', loaded = ''] of imports) {
      const target = path.join(path.dirname(file), name || loaded);
      if (existsSync(target)) found.add(target);
    }
  }
  return found;
}

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type OutputFile, type Plugin } from 'esbuild';

/**
 * Test files and what they import of ours as one file each. In the emulated kernel a module costs some 20 ms, and there are
 * nearly a thousand of them, most of them TypeBox's; a bundle makes 20 s of loading 3.
 */

const REPO = path.join(import.meta.dirname, '..', '..');
const RUNNER = 'test/device-mapper/inside.ts';
/** What tests start as a process of its own. */
const AGENT = 'test/support/host-agent.ts';
/** A folder for each set of bundles, named after what is in it: a kernel that runs reads its own, whoever bundles meanwhile. */
const CACHE = path.join(REPO, '.cache', 'test-kernel', 'bundles');
/** Where a set would be before its name is known: as deep, since source maps have relative paths. */
const DRAFT = path.join(CACHE, 'draft');
/** How long a set is kept that nobody used, in milliseconds. */
const KEPT_MS = 24 * 3_600_000;

/** Packages of many small files, which are put into the bundle. All others are loaded from where they are. */
const BUNDLED = /^(typebox|execa)(\/|$)/;

/** Packages stay outside, except those above and what they import themselves. */
const packagesOutside: Plugin = {
  name: 'packages-outside',
  setup(builder) {
    builder.onResolve({ filter: /^[^./]/ }, ({ path: name, importer }) => {
      if (importer === '' || BUNDLED.test(name) || importer.includes('/node_modules/')) return undefined;
      return { path: name, external: true };
    });
  },
};

/** Our files find others of the checkout from where they are, which is not where the bundle is. */
const whereTheyAre: Plugin = {
  name: 'where-they-are',
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
      if (file.includes('/node_modules/')) return undefined;
      const text = await readFile(file, 'utf8');
      return {
        loader: 'ts',
        contents: text
          .replaceAll('import.meta.dirname', JSON.stringify(path.dirname(file)))
          .replaceAll('import.meta.filename', JSON.stringify(file)),
      };
    });
  },
};

/**
 * Bundles each file by itself.
 *
 * @param files paths of TypeScript files, relative to the checkout
 * @returns the folder of the bundles, and where that of each file is, in the same order
 */
export async function bundle(files: readonly string[]): Promise<{ folder: string; bundles: string[] }> {
  const { outputFiles } = await build({
    entryPoints: files.map((file) => path.resolve(REPO, file)),
    outdir: DRAFT,
    outbase: REPO,
    outExtension: { '.js': '.mjs' },
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'inline',
    logLevel: 'warning',
    // What was written for CommonJS asks for `require`.
    banner: {
      js: `import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(${JSON.stringify(path.join(REPO, 'package.json'))});`,
    },
    plugins: [packagesOutside, whereTheyAre],
  });
  const hash = createHash('sha256');
  for (const { path: name, contents } of outputFiles) hash.update(`${name}\0`).update(contents);
  const folder = path.join(CACHE, hash.digest('hex').slice(0, 16));
  await forgetOld();
  await store(folder, outputFiles);
  return {
    folder,
    bundles: files.map((file) =>
      path.join(folder, path.relative(REPO, path.resolve(REPO, file)).replace(/\.ts$/, '.mjs')),
    ),
  };
}

/** Makes the folder at once, with all that is in it; one that is there already is as new. */
async function store(folder: string, outputs: readonly OutputFile[]): Promise<void> {
  const now = new Date();
  const isThere = await utimes(folder, now, now).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  await mkdir(CACHE, { recursive: true });
  const temporary = await mkdtemp(path.join(CACHE, 'new-'));
  try {
    for (const { path: name, contents } of outputs) {
      const file = path.join(temporary, path.relative(DRAFT, name));
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, contents);
    }
    await rename(temporary, folder).catch((error: NodeJS.ErrnoException) => {
      // Another run made the same meanwhile.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function forgetOld(): Promise<void> {
  for (const name of await readdir(CACHE).catch(() => [])) {
    const folder = path.join(CACHE, name);
    const usedMs = await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (usedMs < Date.now() - KEPT_MS) await rm(folder, { recursive: true, force: true });
  }
}

/** The command that runs test files inside the kernel, one after another, and the variables that it needs. */
export async function testCommand(
  files: readonly string[],
): Promise<{ command: [string, ...string[]]; env: Record<string, string> }> {
  const { folder, bundles } = await bundle([RUNNER, AGENT, ...files]);
  const [runner = '', agent = '', ...tests] = bundles;
  return {
    command: [process.execPath, '--enable-source-maps', runner, ...tests],
    env: { DORMOUSE_TEST_BUNDLES: folder, DORMOUSE_TEST_AGENT: agent },
  };
}

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';

/**
 * Makes the simulation one program in which Dormouse's own code is as it is, and what it imports of Node.js and of execa is
 * the simulated host's. So there is no second wiring of the product for the simulation, and a mutation is a change of its text.
 */

const HERE = import.meta.dirname;
const REPO = path.join(HERE, '..', '..');
const SRC = path.join(REPO, 'src');

/** What our code gets in place of what it asks for. */
const SHIMS: Readonly<Record<string, string>> = {
  'node:fs/promises': 'fs-promises.ts',
  'node:fs': 'fs.ts',
  'node:crypto': 'crypto.ts',
  execa: 'execa.ts',
};

/** A change of one line of the product. */
export interface Change {
  /** Relative to src. */
  file: string;
  find: string;
  replace: string;
}

function simulated(change: Change | undefined): Plugin {
  return {
    name: 'simulated',
    setup(builder) {
      builder.onResolve({ filter: /^[^./]/ }, ({ path: name, importer }) => {
        if (importer === '') return undefined;
        const shim = importer.startsWith(SRC) ? SHIMS[name] : undefined;
        return shim ? { path: path.join(HERE, 'shims', shim) } : { path: name, external: true };
      });
      // The product reads it once in a process; here one process sees many boots.
      builder.onResolve({ filter: /\/boot-id\.ts$/ }, () => ({
        path: path.join(HERE, 'shims', 'boot-id.ts'),
      }));
      if (!change) return;
      const file = path.join(SRC, change.file);
      builder.onLoad(
        { filter: new RegExp(`${change.file.replaceAll('.', '\\.')}$`) },
        async ({ path: loaded }) => {
          if (loaded !== file) return undefined;
          const text = await readFile(file, 'utf8');
          if (text.split(change.find).length !== 2)
            throw new Error(`src/${change.file} has not exactly one: ${change.find}`);
          return { loader: 'ts', contents: text.replace(change.find, () => change.replace) };
        },
      );
    },
  };
}

/** Bundles a file of the simulation, with a change of the product if there is one. Returns the program's text. */
export async function bundleSimulation(entry: string, change?: Change): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path.join(HERE, entry)],
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: [simulated(change)],
  });
  return outputFiles[0]?.text ?? '';
}

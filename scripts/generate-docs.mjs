import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errorsDocument } from './docs/errors.mjs';
import { withSettings } from './docs/settings.mjs';
import { withStates } from './docs/states.mjs';

export { errorsDocument, withSettings, withStates };

/**
 * Writes the documents that are made from the source: `docs/errors.md` from the catalogue of errors, the README's table of
 * settings from their list, and ARCHITECTURE.md's tables of states from the machines.
 * With `--check` it writes nothing and exits with 1 when a document is not what it would write.
 * Needs the Node of the project, which runs TypeScript: `node_modules/.bin/node scripts/generate-docs.mjs`.
 */
const ROOT = path.join(import.meta.dirname, '..');
export const ERRORS_FILE = path.join(ROOT, 'docs', 'errors.md');
export const README_FILE = path.join(ROOT, 'README.md');
export const ARCHITECTURE_FILE = path.join(ROOT, 'ARCHITECTURE.md');

if (import.meta.main) {
  const isCheck = process.argv.includes('--check');
  const documents = [
    { file: ERRORS_FILE, make: () => errorsDocument() },
    { file: README_FILE, make: withSettings },
    { file: ARCHITECTURE_FILE, make: withStates },
  ];
  for (const { file, make } of documents) {
    const present = await readFile(file, 'utf8').catch(() => '');
    const wanted = await make(present);
    if (present === wanted) continue;
    if (!isCheck) await writeFile(file, wanted);
    else {
      console.error(
        `${path.basename(file)} is not up to date. Run: node_modules/.bin/node scripts/generate-docs.mjs`,
      );
      process.exitCode = 1;
    }
  }
}

import { readFile } from 'node:fs/promises';
import t from 'tap';
import { ERRORS_FILE, errorsDocument } from '../../scripts/generate-docs.mjs';
import { catalogue } from '../../src/errors/index.ts';

const text = await readFile(ERRORS_FILE, 'utf8');

t.test('every code of the catalogue is documented with its status and meaning, and no other', async (t) => {
  const rows = [...text.matchAll(/^\| <a id="\w+"><\/a>`(\w+)` \| (\d+) \| (.+) \|$/gm)];
  const documented = Object.fromEntries(rows.map(([, code, status, title]) => [code, `${status} ${title}`]));
  const expected = Object.fromEntries(
    Object.entries(catalogue).map(([code, { status, title }]) => [code, `${status} ${title}`]),
  );
  t.same(documented, expected);
});

t.test('docs/errors.md is what scripts/generate-docs.mjs writes', async (t) => {
  t.equal(text, errorsDocument());
});

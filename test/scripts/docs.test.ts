import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { withSettings, withStates } from '../../scripts/generate-docs.mjs';
import { createProgram } from '../../src/cli/program.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const files = globSync('**/*.md', {
  cwd: ROOT,
  exclude: (name) => /(^|\/)(node_modules|\.cache|\.tap|data)$/.test(name),
}).sort();
const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** Text without code: brackets in a program are no links. */
const proseOf = (file: string): string =>
  textOf(file)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '');

/** The anchors of a file's headings, as GitHub makes them, and those that are written out. */
function anchorsOf(file: string): string[] {
  const headings = [...textOf(file).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...textOf(file).matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)];
}

t.test('links between the documents resolve', async (t) => {
  t.ok(files.includes('README.md') && files.includes('guest/PROTOCOL.md'), 'the documents are found');
  const links = files.flatMap((file) =>
    [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => ({ file, link })),
  );
  t.ok(links.length > 5, 'links are found');
  const broken = links.filter(({ file, link }) => {
    const [name = '', anchor] = link.split('#');
    const target = name === '' ? file : path.join(path.dirname(file), name);
    if (!existsSync(path.join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(target).includes(anchor);
  });
  t.same(broken, []);
});

t.test("the README's settings are those of src/config/variables.ts", async (t) => {
  t.equal(textOf('README.md'), withSettings(textOf('README.md')));
  t.match(textOf('README.md'), '| `DORMOUSE_HTTP_PORT` | `7070` |');
});

t.test("ARCHITECTURE.md's states are those of the machines", async (t) => {
  const page = textOf('ARCHITECTURE.md');
  t.equal(page, await withStates(page));
  t.match(page, '| `pausing.committing`, durable | `commitSnapshot`, undo, 15 s | `pausing.releasing` |');
  t.match(page, '    paused --> resuming: resume\n');
  const without = page.replace('<!-- states: host, ', '<!-- ');
  await t.rejects(withStates(without), { message: 'ARCHITECTURE.md has no place for the states of host.' });
  t.equal(
    await withStates(page.replace('`drain` → `draining`', '`drain` → `ready`')),
    page,
    'a slip is mended',
  );
});

t.test('the README names every command', async (t) => {
  const table = /^## Command line$.*?^## /ms.exec(textOf('README.md'))?.[0] ?? '';
  const commands = createProgram().commands.flatMap((command) =>
    command.name() === 'sandbox' ? [command, ...command.commands] : [command],
  );
  const missing = commands
    .map((command) => command.name())
    .filter((name) => !new RegExp(`\\b${name}\\b`).test(table));
  t.same(missing, []);
});

t.test('no document names a folder of one machine', async (t) => {
  const wrong = files.filter((file) =>
    /(^|[\s"'`(=])\/(work|home|root\/\w+\/src|Users)\//m.test(textOf(file)),
  );
  t.same(wrong, []);
});

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeVariables } from '../src/config/config.ts';
import { catalogue } from '../src/errors/catalogue.ts';

/**
 * Writes the documents that are made from the source: `docs/errors.md` from the catalogue of errors, and the README's
 * table of settings from their list.
 * With `--check` it writes nothing and exits with 1 when a document is not what it would write.
 * Needs the Node of the project, which runs TypeScript: `node_modules/.bin/node scripts/generate-docs.mjs`.
 */
export const ERRORS_FILE = path.join(import.meta.dirname, '..', 'docs', 'errors.md');
export const README_FILE = path.join(import.meta.dirname, '..', 'README.md');

/** The table stands between these two lines of the README. */
const SETTINGS = /(?<=^<!-- settings: .* -->\n).*(?=^<!-- \/settings -->$)/ms;
/** Fallbacks that depend on who asks, in words. */
const FALLBACKS = { DORMOUSE_DATA_DIR: '`/var/lib/dormouse` for root, else `~/.local/share/dormouse`' };

const ANSWERS = {
  refused: 'Change the request: as it is, it cannot succeed.',
  retry:
    'Send the same request again, after `Retry-After` when the answer has one, with the same `Idempotency-Key`.',
  stuck: 'Tell the operator: the log has the causes under the id in `instance`.',
};

/** The whole of `docs/errors.md`. */
export function errorsDocument() {
  const entries = Object.entries(catalogue);
  const sections = Object.entries(ANSWERS).map(([answer, advice]) => {
    const rows = entries
      .filter(([, entry]) => entry.answer === answer)
      .sort(([a, { status: first }], [b, { status: second }]) => first - second || (a < b ? -1 : 1))
      .map(([code, { status, title }]) => `| <a id="${code}"></a>\`${code}\` | ${status} | ${title} |`);
    return [`## ${answer}`, '', advice, '', '| code | status | meaning |', '|---|---|---|', ...rows].join(
      '\n',
    );
  });
  return `${[
    '# Errors',
    '<!-- Made by scripts/generate-docs.mjs from src/errors/catalogue.ts. Do not edit. -->',
    'Every error has a code that does not change. Over HTTP it is a problem document (RFC 9457,\n' +
      '`application/problem+json`); over NATS the code is in the body and the status in `Nats-Service-Error-Code`.',
    '```json\n' +
      JSON.stringify(
        {
          type: 'urn:dormouse:error:SANDBOX_WRONG_STATE',
          title: catalogue.SANDBOX_WRONG_STATE.title,
          status: catalogue.SANDBOX_WRONG_STATE.status,
          detail: 'The sandbox is paused and does not take "pause". It takes resume, destroy.',
          code: 'SANDBOX_WRONG_STATE',
          instance: 'urn:dormouse:request:r-xw5nn3zkaz6mrbfdfgmy',
          retryable: false,
          state: 'paused',
          allowed: ['resume', 'destroy'],
        },
        null,
        2,
      ) +
      '\n```',
    'What a caller can do depends on the kind of error. `retryable` is true for `retry`.',
    ...sections,
  ].join('\n\n')}\n`;
}

/**
 * The README with the table of settings as it should be.
 *
 * @param {string} readme
 */
export function withSettings(readme) {
  if (!SETTINGS.test(readme)) throw new Error('README.md has no place for the table of settings.');
  const rows = describeVariables().map(({ name, fallback, help }) => {
    const shown = FALLBACKS[name] ?? (fallback === '' ? '' : `\`${fallback}\``);
    return `| \`${name}\` | ${shown} | ${help.replaceAll('|', '\\|')} |\n`;
  });
  return readme.replace(SETTINGS, () => `| setting | default | meaning |\n|---|---|---|\n${rows.join('')}`);
}

if (import.meta.main) {
  const isCheck = process.argv.includes('--check');
  const readme = await readFile(README_FILE, 'utf8');
  const errors = await readFile(ERRORS_FILE, 'utf8').catch(() => '');
  const documents = [
    { file: ERRORS_FILE, present: errors, wanted: errorsDocument() },
    { file: README_FILE, present: readme, wanted: withSettings(readme) },
  ];
  for (const { file, present, wanted } of documents) {
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

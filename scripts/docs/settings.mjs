import { describeVariables } from '../../src/config/config.ts';

/** The README's table of settings, from their list. */

/** The table stands between these two lines of the README. */
const SETTINGS = /(?<=^<!-- settings: .* -->\n).*(?=^<!-- \/settings -->$)/ms;
/** Fallbacks that depend on who asks, in words. */
const FALLBACKS = { DORMOUSE_DATA_DIR: '`/var/lib/dormouse` for root, else `~/.local/share/dormouse`' };

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

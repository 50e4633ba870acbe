import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};
const STYLE = { 'padding-left': 0, 'padding-right': 0, head: [], border: [] };

/** Columns without lines, under a heading. Easy to read, and to cut with awk. */
export function table(heading: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const drawn = new Table({ head: [...heading], chars: NO_LINES, style: STYLE });
  drawn.push(...rows.map((row) => row.map(printable)));
  return withoutPadding(drawn.toString());
}

/** One line for each pair: name, value. */
export function listing(pairs: ReadonlyArray<readonly [name: string, value: string]>): string {
  const drawn = new Table({ chars: NO_LINES, style: STYLE });
  drawn.push(...pairs.map(([name, value]) => [`${name}:`, printable(value)]));
  return withoutPadding(drawn.toString());
}

function withoutPadding(text: string): string {
  return text.replace(/ +$/gm, '');
}

/** Text as one line that cannot move the cursor or draw on the terminal: much of it comes from elsewhere. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return stripVTControlCharacters(text).replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ');
}

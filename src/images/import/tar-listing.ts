import { invalid } from './invalid.ts';

/**
 * Lines of `tar --list --verbose --quoting-style=c --numeric-owner` of GNU tar in the C locale:
 *
 *     -rw-r--r-- 0/0               6 2026-01-31 19:00 "a \"b\""
 *     hrw-r--r-- 0/0               0 2026-01-31 19:00 "l" link to "a"
 *
 * The archive is checked by what the program that unpacks it says, and by no parser of our own, since whatever the two
 * read differently (GNU and PAX names, sparse files, numbers in base 256) would be a way around the check. A quoted
 * name is plain ASCII without quotation marks and ends of lines, so no name can look like another line.
 */

/** An entry of an archive. Names are bytes in a latin1 string. */
export interface Entry {
  kind: EntryKind;
  /** As the archive has it. */
  name: string;
  /** Of the file, in bytes; holes count. */
  bytes: number;
  /** What a link names. */
  target: string;
}

export type EntryKind = 'file' | 'folder' | 'symlink' | 'hard link' | 'fifo' | 'device';

/** The first character of a line; `C` is a file that shall lie in one piece, which nobody does any more. */
const KINDS: Readonly<Record<string, EntryKind>> = {
  '-': 'file',
  C: 'file',
  d: 'folder',
  l: 'symlink',
  h: 'hard link',
  p: 'fifo',
  b: 'device',
  c: 'device',
};

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"';
const LINE = new RegExp(`^(.)\\S* \\S+ +(\\S+) [^"]*${QUOTED}(?:(?: -> | link to )${QUOTED})?$`);

/**
 * Reads a line.
 *
 * @throws `TEMPLATE_INVALID` when it is of a kind of entry that has no place in a root file system
 */
export function parseListing(line: string): Entry {
  const [, type = '', size = '', name, target = ''] = LINE.exec(line) ?? [];
  if (name === undefined)
    throw invalid('unreadable', `tar lists an entry in a way that is not known: ${line}`);
  const entry = unquote(name);
  const kind = KINDS[type];
  if (kind === undefined)
    throw invalid('unknown-entry', `The archive has an entry of a kind that is not known (${type}).`, {
      entry,
    });
  const bytes = kind === 'file' ? Number(size) : 0;
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw invalid('too-large', `The archive has a file of ${size} bytes.`, { entry });
  return { kind, name: entry, bytes, target: unquote(target) };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function unquote(quoted: string): string {
  return quoted.replace(/\\([0-7]{3}|.)/g, (_, escaped: string) =>
    escaped.length === 3 ? String.fromCharCode(Number.parseInt(escaped, 8)) : (ESCAPES[escaped] ?? escaped),
  );
}

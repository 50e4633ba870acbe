import { DormouseError } from '../../errors/index.ts';

/** Why a file cannot become a template; for programs, in the error's `data.reason`. */
export type InvalidReason =
  | 'empty'
  | 'unknown-format'
  | 'unreadable'
  | 'too-large'
  | 'too-many-entries'
  | 'ratio'
  | 'name'
  | 'path-escape'
  | 'through-symlink'
  | 'not-in-a-folder'
  | 'hard-link'
  | 'symlink'
  | 'device'
  | 'unknown-entry'
  | 'twice'
  | 'whiteout'
  | 'no-shell'
  | 'layout'
  | 'digest'
  | 'platform'
  | 'file-system';

/** Longest name of an entry that an error shows, in characters. */
const SHOWN_CHARACTERS = 200;

/**
 * The error of a file that cannot become a template.
 *
 * @param detail what is wrong, as a sentence for a person
 * @param entry name of the entry that is wrong, as bytes in a latin1 string
 */
export function invalid(
  reason: InvalidReason,
  detail: string,
  { entry, cause }: { entry?: string; cause?: unknown } = {},
): DormouseError {
  return new DormouseError('TEMPLATE_INVALID', detail, {
    data: { reason, ...(entry === undefined ? {} : { entry: shown(entry) }) },
    cause,
  });
}

/**
 * A name of an archive for a person. Names are bytes, which need not be UTF-8, so they are kept in latin1 strings, one
 * character for each byte.
 */
export function shown(name: string): string {
  const text = Buffer.from(name, 'latin1').toString('utf8');
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

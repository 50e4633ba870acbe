import type { ExecLine } from '../../lib/types.ts';

/** The output of a program as a console keeps it. Nothing here needs a browser. */

export interface Piece {
  stream: 'stdout' | 'stderr';
  text: string;
}

/** Of each program, in characters: its end is kept. */
export const OUTPUT_KEPT = 200_000;

/** The text of a line; what is no UTF-8 has replacement characters. */
export function textOf({ data = '', encoding = 'utf8' }: ExecLine): string {
  if (encoding === 'utf8') return data;
  return new TextDecoder().decode(Uint8Array.from(atob(data), (char) => char.charCodeAt(0)));
}

/** Adds a line; neighbours of one stream become one piece. */
export function withLine(pieces: readonly Piece[], line: ExecLine): Piece[] {
  const { stream } = line;
  if (!stream) return [...pieces];
  const last = pieces.at(-1);
  const text = textOf(line);
  if (last?.stream !== stream) return withinLimit([...pieces, { stream, text }]);
  return withinLimit([...pieces.slice(0, -1), { stream, text: last.text + text }]);
}

/** Drops from the beginning what is too much. */
function withinLimit(pieces: readonly Piece[]): Piece[] {
  let excess = pieces.reduce((sum, { text }) => sum + text.length, 0) - OUTPUT_KEPT;
  const kept: Piece[] = [];
  for (const { stream, text } of pieces) {
    const rest = text.slice(Math.max(0, excess));
    excess -= text.length - rest.length;
    if (rest !== '') kept.push({ stream, text: rest });
  }
  return kept;
}

/** How a program ended, in a few words. */
export function endOf({ result, error }: ExecLine): string {
  if (error) return `${error.code}: ${error.detail}`;
  if (!result) return '';
  const { exit_code, signal, timed_out } = result;
  if (timed_out) return 'killed: its time was over';
  return signal === null ? `exit ${exit_code}` : `ended by ${signal}`;
}

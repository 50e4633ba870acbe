import { execa } from 'execa';

/**
 * The sessions in the pages under `docs/`: blocks of ```console, in which a line that begins with `$ ` is a command (with the
 * lines that it continues on, after a backslash), and what follows is what it printed. `…` alone on a line stands for any lines.
 */

export interface Step {
  command: string;
  /** Lines that the page says it prints. */
  output: string[];
}

/** A piece of a page: text as it is, or a session. */
export type Piece = { text: string } | { steps: Step[] };

const BLOCK = /^```console\n([\s\S]*?)^```$/gm;
const MARK = '\u0001';

/** Takes a page apart. Throws for a session that does not begin with a command. */
export function piecesOf(page: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of page.matchAll(BLOCK)) {
    pieces.push({ text: page.slice(end, match.index) }, { steps: stepsOf(match[1] ?? '') });
    end = match.index + match[0].length;
  }
  return [...pieces, { text: page.slice(end) }];
}

function stepsOf(block: string): Step[] {
  const steps: Step[] = [];
  let isContinued = false;
  for (const line of block.replace(/\n$/, '').split('\n')) {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] });
    else if (!last) throw new Error(`a session begins with its first command, not with: ${line}`);
    else if (isContinued) last.command += `\n${line}`;
    else last.output.push(line);
    isContinued = (line.startsWith('$ ') || isContinued) && line.endsWith('\\');
  }
  return steps;
}

/** The page again, with these pieces. */
export function pageOf(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      if ('text' in piece) return piece.text;
      const lines = piece.steps.flatMap(({ command, output }) => [`$ ${command}`, ...output]);
      return ['```console', ...lines, '```'].join('\n');
    })
    .join('');
}

/** Runs the commands one after another in one shell, and gives the lines that each printed, on both its streams. */
export async function runSession(
  commands: readonly string[],
  { cwd, env, prelude }: { cwd: string; env: Record<string, string>; prelude: string },
): Promise<string[][]> {
  const script = [prelude, ...commands.flatMap((command) => [command, `printf '${MARK}'`])].join('\n');
  const { all } = await execa('bash', ['-c', script], {
    cwd,
    env,
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: 600_000,
    stripFinalNewline: false,
  });
  return all
    .split(MARK)
    .slice(0, commands.length)
    .map((text) => text.replace(/\n$/, '').split('\n'))
    .map((lines) => (lines.length === 1 && lines[0] === '' ? [] : lines));
}

/** Without what differs from run to run: ids, keys, times, sizes, and the widths of columns. */
export function normalized(line: string): string {
  return line
    .replace(/\b(sb|h|r|c|t)-[a-z2-7]{8,20}\b/g, '$1-…')
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '(uuid)')
    .replace(/\bdm_[0-9a-f]{3,40}\b/g, 'dm_…')
    .replace(/\d+(\.\d+)?/g, '0')
    .replace(/\b0 ?(ms|s|m|h|B|KiB|MiB|GiB)\b/g, '0')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Where what was printed is not what the page says; undefined when it is. */
export function difference(page: readonly string[], printed: readonly string[]): string | undefined {
  const wanted = page.map(normalized);
  const found = printed.map(normalized);
  return matches(wanted, found)
    ? undefined
    : `the page says\n${page.join('\n')}\nand it printed\n${printed.join('\n')}`;
}

function matches(wanted: readonly string[], found: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return found.length === 0;
  if (first !== '…') return found[0] === first && matches(rest, found.slice(1));
  return found.some((_, index) => matches(rest, found.slice(index))) || matches(rest, []);
}

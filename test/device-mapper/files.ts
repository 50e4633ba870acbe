import { StringDecoder } from 'node:string_decoder';
import { type KernelResult, type KernelRun, runInKernel } from './boot.ts';
import { testCommand } from './bundle.ts';

/** Runs test files in a kernel by `inside.ts` and reads what that says of them. */

const INDENT = '    ';

/** What became of one file. */
export interface FileReport {
  file: string;
  ok: boolean;
  /** How many assertions, devices and milliseconds, for a person. */
  summary: string;
  /** Its own TAP, and what it left in the kernel. */
  details: string[];
}

export interface FilesRun extends Omit<KernelRun, 'command' | 'onOutput'> {
  /** Called as each file ends. */
  onFile: (report: FileReport) => void;
  /** Called with each line that belongs to no file: which one begins, comments, and what went to standard error. */
  onLine: (line: string) => void;
}

/**
 * @param files paths from the working directory
 * @throws `KernelError` when the kernel ends before they do; the signal's reason
 */
export async function runFiles(files: readonly string[], run: FilesRun): Promise<KernelResult> {
  const { onFile, onLine, ...kernel } = run;
  const report = reportReader(onFile, onLine);
  const reader = { stdout: lineReader(report.line), stderr: lineReader(onLine) };
  const { command, env } = await testCommand(files);
  try {
    return await runInKernel({
      ...kernel,
      command,
      env: { ...kernel.env, ...env },
      onOutput: (output, chunk) => reader[output](chunk),
    });
  } finally {
    // How far a file had come when the kernel ended.
    for (const line of report.unfinished()) onLine(line);
  }
}

/** Takes bytes and passes on whole lines. */
function lineReader(onLine: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder();
  let rest = '';
  return (chunk) => {
    const lines = `${rest}${decoder.write(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}

export interface ReportReader {
  line(line: string): void;
  /** What came of a file that has not ended. */
  unfinished(): string[];
}

/** Reads the TAP of `inside.ts`: a subtest for each file, with a summary as its last comment. */
export function reportReader(
  onFile: (report: FileReport) => void,
  onLine: (line: string) => void,
): ReportReader {
  let details: string[] = [];
  return {
    unfinished: () => details,
    line(line) {
      const result = /^(not )?ok \d+ - (.*?) # time=(\d+)ms$/.exec(line);
      const [, begun] = /^# Subtest: (.*)$/.exec(line) ?? [];
      if (line.startsWith(INDENT)) details.push(line.slice(INDENT.length));
      else if (begun !== undefined) onLine(`${begun} …`);
      else if (result) {
        const [, not, file = '', ms = ''] = result;
        const counts = details.at(-1)?.replace(/^# /, '') ?? '';
        onFile({ file, ok: not === undefined, summary: `${counts}; ${ms} ms`, details });
        details = [];
      } else if (line !== '' && !/^(TAP version|1\.\.)/.test(line)) onLine(line.replace(/^# /, ''));
    },
  };
}

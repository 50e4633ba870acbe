import { open } from 'node:fs/promises';
import { logFile } from './command-line.ts';

/** How much of the end of QEMU's output is looked at, in bytes, and how much of a line is shown. */
const TAIL_BYTES = 4096;
const LINE_CHARS = 500;

/** The last line that QEMU wrote to its log; empty when it wrote nothing. */
export async function lastLogLine(runDir: string): Promise<string> {
  try {
    const file = await open(logFile(runDir), 'r');
    try {
      const { size } = await file.stat();
      const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
      await file.read(tail, 0, tail.length, size - tail.length);
      return (tail.toString().trim().split('\n').at(-1) ?? '').slice(-LINE_CHARS);
    } finally {
      await file.close();
    }
  } catch {
    return '';
  }
}

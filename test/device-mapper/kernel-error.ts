/** How much of the kernel's log is kept, in characters. */
const LOG_CHARS = 256 * 1024;
/** How many of its last lines an error shows. */
const SHOWN_LINES = 60;

/** The end of the log that a kernel writes to its serial console. */
export class KernelLog {
  #text = '';

  add(chunk: Buffer): void {
    this.#text = `${this.#text}${chunk.toString('latin1').replaceAll('\r', '')}`.slice(-LOG_CHARS);
  }

  get text(): string {
    return this.#text;
  }
}

/** The kernel did not come to the command's end. The message shows the last lines of its log. */
export class KernelError extends Error {
  readonly kernelLog: string;
  /** It stopped saying anything, and was ended. */
  readonly isSilent: boolean;

  constructor(what: string, kernelLog: string, { isSilent = false } = {}) {
    const lines = kernelLog.trimEnd().split('\n').slice(-SHOWN_LINES);
    super(`${what}. The kernel's log ends:\n${lines.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'KernelError';
    this.kernelLog = kernelLog;
    this.isSilent = isSilent;
  }
}

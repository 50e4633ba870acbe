const NEWLINE = 0x0a;

/** Puts a stream of bytes together into lines of at most `limitBytes` bytes, however it was cut. */
export class LineSplitter {
  readonly #limitBytes: number;
  readonly #encoding: BufferEncoding;
  #begun: Buffer[] = [];
  #begunBytes = 0;

  constructor(limitBytes: number, encoding: BufferEncoding = 'utf8') {
    this.#limitBytes = limitBytes;
    this.#encoding = encoding;
  }

  /**
   * Lines that end in `chunk`, without their end of line.
   *
   * @throws `RangeError` when a line is longer than the limit; nothing more can be read then
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, end));
      lines.push(Buffer.concat(this.#begun).toString(this.#encoding));
      this.#begun = [];
      this.#begunBytes = 0;
      from = end + 1;
    }
    this.#keep(chunk.subarray(from));
    return lines;
  }

  #keep(part: Buffer): void {
    if (this.#begunBytes + part.length > this.#limitBytes)
      throw new RangeError(`a line is longer than ${this.#limitBytes} bytes`);
    this.#begun.push(part);
    this.#begunBytes += part.length;
  }
}

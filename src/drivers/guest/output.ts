import { CHUNK_BYTES, malformed } from './frames.ts';
import type { GuestOutput } from './types.ts';

/**
 * Output of a program, as it comes from the guest. A guest chooses how it cuts it: what a piece costs the host must be what
 * its bytes cost, or a mebibyte in pieces of one byte would take a hundred of memory, and a million messages.
 */

const FIRST_BYTES = 4096;

/** Output of one stream, as far as it is kept. The guest's word on sizes is checked. */
export class Kept {
  readonly #limit: number;
  #room = Buffer.alloc(0);
  size = 0;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Throws `GUEST_PROTOCOL` when the piece does not follow the one before it, or goes beyond the limit. */
  add(offset: number, bytes: Buffer): void {
    const size = this.size + bytes.length;
    if (offset !== this.size || size > this.#limit)
      throw malformed('output that does not follow the output before it');
    if (size > this.#room.length) {
      const room = Buffer.alloc(Math.min(this.#limit, Math.max(FIRST_BYTES, 2 * size)));
      this.#room.copy(room, 0, 0, this.size);
      this.#room = room;
    }
    bytes.copy(this.#room, this.size);
    this.size = size;
  }

  bytes(): Buffer {
    return this.#room.subarray(0, this.size);
  }
}

/** Passes output on in its order, and small pieces that come at once together. */
export class Gathered {
  readonly #output: GuestOutput | undefined;
  #stream: Parameters<GuestOutput>[0] = 'stdout';
  #pieces: Buffer[] = [];
  #size = 0;
  #next: NodeJS.Immediate | undefined;

  constructor(output: GuestOutput | undefined) {
    this.#output = output;
  }

  add(stream: Parameters<GuestOutput>[0], bytes: Buffer): void {
    if (!this.#output) return;
    if (stream !== this.#stream || this.#size + bytes.length > CHUNK_BYTES) this.flush();
    this.#stream = stream;
    this.#pieces.push(bytes);
    this.#size += bytes.length;
    // Once all frames are read that came with it: nothing waits for what has not come.
    this.#next ??= setImmediate(() => this.flush());
  }

  /** Passes on what is there. */
  flush(): void {
    clearImmediate(this.#next);
    this.#next = undefined;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#size = 0;
    if (pieces.length > 0) this.#output?.(this.#stream, Buffer.concat(pieces));
  }
}

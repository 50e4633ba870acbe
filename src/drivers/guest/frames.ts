import { DormouseError } from '../../errors/index.ts';

/** Frames of the guest kit's protocol (guest/PROTOCOL.md), as pure functions over bytes. */

export const PROTOCOL_VERSION = 1;
const HEADER_BYTES = 5;
/** Largest frame that is read from a guest: a chunk of output with its offset. */
const MAX_PAYLOAD = 128 * 1024;
/** Largest request that a kit takes. */
export const MAX_REQUEST_PAYLOAD = 4 * 1024 * 1024;
/** Bytes of data that are sent in one frame. */
export const CHUNK_BYTES = 64 * 1024;

export const FrameType = {
  hello: 0x01,
  ping: 0x10,
  identify: 0x11,
  grow: 0x12,
  exec: 0x20,
  stdin: 0x21,
  stdinEnd: 0x22,
  kill: 0x23,
  read: 0x30,
  write: 0x31,
  powerOff: 0x40,
  ok: 0x80,
  error: 0x81,
  started: 0x82,
  stdout: 0x83,
  stderr: 0x84,
  exit: 0x85,
  data: 0x90,
  dataEnd: 0x91,
} as const;

export interface Frame {
  type: number;
  payload: Buffer;
}

export function malformed(what: string): DormouseError {
  return new DormouseError('GUEST_PROTOCOL', `The guest's answer is not what the protocol allows: ${what}.`);
}

/** A frame as bytes. */
export function encodeFrame(type: number, ...parts: Uint8Array[]): Buffer {
  const payload = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, payload]);
}

export const u8 = (value: number): Buffer => Buffer.from([value]);

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** A length and the bytes. */
export function string(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** Cuts a stream of bytes into frames. Keeps at most one frame that is not whole. */
export class FrameReader {
  #buffer = Buffer.alloc(0);

  /** The frames that are whole now. Throws `GUEST_PROTOCOL` for one that is too large. */
  push(bytes: Uint8Array): Frame[] {
    this.#buffer = this.#buffer.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#buffer, bytes]);
    const frames: Frame[] = [];
    while (this.#buffer.length >= HEADER_BYTES) {
      const size = this.#buffer.readUInt32LE(0);
      if (size > MAX_PAYLOAD) throw malformed(`a frame of ${size} bytes`);
      if (this.#buffer.length < HEADER_BYTES + size) break;
      frames.push({
        type: this.#buffer.readUInt8(4),
        payload: this.#buffer.subarray(HEADER_BYTES, HEADER_BYTES + size),
      });
      this.#buffer = this.#buffer.subarray(HEADER_BYTES + size);
    }
    return frames;
  }
}

export interface Exit {
  signalled: boolean;
  value: number;
  timedOut: boolean;
  durationMs: number;
  stdoutTotal: bigint;
  stderrTotal: bigint;
}

/** How much of the program's input the guest has, in bytes. Throws `GUEST_PROTOCOL`. */
export function decodeStarted(payload: Buffer): { stdinBytes: number; stdinEnded: boolean } {
  if (payload.length !== 13) throw malformed('a start of another length');
  return { stdinBytes: Number(payload.readBigUInt64LE(4)), stdinEnded: payload.readUInt8(12) !== 0 };
}

/** Throws `GUEST_PROTOCOL`. */
export function decodeExit(payload: Buffer): Exit {
  if (payload.length !== 27) throw malformed('an exit of another length');
  return {
    signalled: payload.readUInt8(0) !== 0,
    value: payload.readUInt8(1),
    timedOut: payload.readUInt8(2) !== 0,
    durationMs: Number(payload.readBigUInt64LE(3)),
    stdoutTotal: payload.readBigUInt64LE(11),
    stderrTotal: payload.readBigUInt64LE(19),
  };
}

/** Offset and bytes of a piece of output, which has at least one. Throws `GUEST_PROTOCOL`. */
export function decodeOutput(payload: Buffer): { offset: number; bytes: Buffer } {
  if (payload.length <= 8) throw malformed('output without an offset, or without bytes');
  return { offset: Number(payload.readBigUInt64LE(0)), bytes: payload.subarray(8) };
}

/** Throws `GUEST_PROTOCOL`. */
export function decodeOk(payload: Buffer): { uptimeMs: number; kitVersion: string } {
  if (payload.length < 8 || payload.length > 64) throw malformed('an answer of another length');
  return { uptimeMs: Number(payload.readBigUInt64LE(0)), kitVersion: payload.subarray(8).toString('latin1') };
}

const ERRORS: Record<number, ConstructorParameters<typeof DormouseError>[0]> = {
  1: 'GUEST_REFUSED',
  10: 'EXEC_NOT_FOUND',
  11: 'EXEC_NOT_EXECUTABLE',
  12: 'EXEC_BAD_CWD',
  13: 'EXEC_UNKNOWN_USER',
  14: 'INVALID_REQUEST',
  20: 'INVALID_REQUEST',
  21: 'PAYLOAD_TOO_LARGE',
  4: 'MAILBOX_FULL',
};

/** The error that the kit answered, as one of ours. Its text is the guest's word: cut, and never trusted. */
export function decodeError(payload: Buffer): DormouseError {
  if (payload.length < 2) return malformed('an error without a code');
  const text = payload
    .subarray(2, 202)
    .toString('utf8')
    .replace(/\p{Cc}/gu, ' ');
  return new DormouseError(ERRORS[payload.readUInt16LE(0)] ?? 'GUEST_PROTOCOL', `The guest says: ${text}.`);
}

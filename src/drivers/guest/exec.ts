import { constants } from 'node:os';
import type { Clock } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import { connectPatiently, converse } from './connection.ts';
import {
  CHUNK_BYTES,
  decodeExit,
  decodeOutput,
  type Exit,
  encodeFrame,
  FrameType,
  malformed,
  string,
  u16,
  u32,
} from './frames.ts';
import type { GuestEndpoint, GuestExecRequest, GuestExecResult, GuestOutput } from './types.ts';

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** Runs a program in the guest, or attaches to it. See `GuestDriver.exec`. */
export async function exec(
  endpoint: GuestEndpoint,
  request: GuestExecRequest,
  clock: Clock,
  signal: AbortSignal,
  output?: GuestOutput,
): Promise<GuestExecResult> {
  const streams = { stdout: new Kept(request.outputLimitBytes), stderr: new Kept(request.outputLimitBytes) };
  try {
    const socket = await connectPatiently(endpoint, clock, signal);
    for await (const { type, payload } of converse(socket, endpoint, encodeRequest(request), signal)) {
      if (type === FrameType.stdout || type === FrameType.stderr) {
        const name = type === FrameType.stdout ? 'stdout' : 'stderr';
        const { offset, bytes } = decodeOutput(payload);
        streams[name].add(offset, bytes);
        output?.(name, bytes);
      } else if (type === FrameType.exit) {
        return resultOf(decodeExit(payload), streams);
      } else if (type !== FrameType.started) {
        throw malformed(`a frame of type 0x${type.toString(16)} from a program`);
      }
    }
  } catch (error) {
    if (hasCode(error, 'GUEST_UNREACHABLE')) throw interrupted(error);
    throw error;
  }
  throw interrupted();
}

/** Output of one stream, as far as it is kept. The guest's word on sizes is checked. */
class Kept {
  readonly #pieces: Buffer[] = [];
  readonly #limit: number;
  size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(offset: number, bytes: Buffer): void {
    if (offset !== this.size || this.size + bytes.length > this.#limit)
      throw malformed('output that does not follow the output before it');
    this.#pieces.push(Buffer.from(bytes));
    this.size += bytes.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

function encodeRequest(request: GuestExecRequest): Buffer {
  const env = Object.entries(request.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const frames = [
    encodeFrame(
      FrameType.exec,
      string(request.execId),
      u32(request.timeoutMs),
      u32(request.outputLimitBytes),
      string(request.cwd ?? ''),
      string(request.user ?? ''),
      u16(request.argv.length),
      ...request.argv.map((argument) => string(argument)),
      u16(env.length),
      ...env.map((entry) => string(entry)),
    ),
  ];
  const stdin = Buffer.from(request.stdin ?? []);
  for (let at = 0; at < stdin.length; at += CHUNK_BYTES)
    frames.push(encodeFrame(FrameType.stdin, stdin.subarray(at, at + CHUNK_BYTES)));
  frames.push(encodeFrame(FrameType.stdinEnd));
  return Buffer.concat(frames);
}

function resultOf(exit: Exit, { stdout, stderr }: { stdout: Kept; stderr: Kept }): GuestExecResult {
  return {
    exitCode: exit.signalled ? null : exit.value,
    signal: exit.signalled ? (signalNames.get(exit.value) ?? `SIG${exit.value}`) : null,
    timedOut: exit.timedOut,
    durationMs: exit.durationMs,
    stdout: stdout.bytes(),
    stderr: stderr.bytes(),
    stdoutTruncated: exit.stdoutTotal > BigInt(stdout.size),
    stderrTruncated: exit.stderrTotal > BigInt(stderr.size),
  };
}

function interrupted(cause?: unknown): DormouseError {
  return new DormouseError(
    'EXEC_INTERRUPTED',
    'The connection to the guest was cut while the program ran. It goes on in the guest.',
    { cause },
  );
}

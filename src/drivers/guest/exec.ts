import { constants } from 'node:os';
import type { Clock } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import { connectPatiently, converse } from './connection.ts';
import {
  CHUNK_BYTES,
  decodeExit,
  decodeOutput,
  decodeStarted,
  type Exit,
  encodeFrame,
  FrameType,
  MAX_REQUEST_PAYLOAD,
  malformed,
  string,
  u16,
  u32,
  u64,
} from './frames.ts';
import { Gathered, Kept } from './output.ts';
import type { GuestEndpoint, GuestExecRequest, GuestExecResult, GuestOutput } from './types.ts';

/** Bounds of the kit on arguments and variables. */
const MAX_ARGUMENTS = 4096;
const MAX_VARIABLES = 320;

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/**
 * Runs a program in the guest, or attaches to it. See `GuestDriver.exec`.
 *
 * The first piece of the input leaves with the request, which spares most programs a round trip. The rest starts where
 * the guest says that it needs it: a connection that was cut may have brought some of it.
 */
export async function exec(
  endpoint: GuestEndpoint,
  request: GuestExecRequest,
  clock: Clock,
  signal: AbortSignal,
  output?: GuestOutput,
): Promise<GuestExecResult> {
  const start = encodeRequest(request);
  const stdin = Buffer.from(request.stdin ?? []);
  const streams = { stdout: new Kept(request.outputLimitBytes), stderr: new Kept(request.outputLimitBytes) };
  const passedOn = new Gathered(output);
  try {
    const socket = await connectPatiently(endpoint, clock, signal);
    const first = Buffer.concat([start, encodeStdin(stdin, 0, CHUNK_BYTES)]);
    let started = false;
    for await (const { type, payload } of converse(socket, endpoint, first, signal)) {
      if (type !== FrameType.started && !started)
        throw malformed('a program that answers before it has started');
      if (type === FrameType.stdout || type === FrameType.stderr) {
        const name = type === FrameType.stdout ? 'stdout' : 'stderr';
        const { offset, bytes } = decodeOutput(payload);
        streams[name].add(offset, bytes);
        passedOn.add(name, bytes);
      } else if (type === FrameType.exit) {
        return resultOf(decodeExit(payload), streams);
      } else if (type === FrameType.started && !started) {
        started = true;
        const { stdinBytes, stdinEnded } = decodeStarted(payload);
        if (stdinBytes > stdin.length) throw malformed('more input than there is');
        const from = Math.max(stdinBytes, CHUNK_BYTES);
        if (!stdinEnded && from < stdin.length) socket.write(encodeStdin(stdin, from, stdin.length));
        else if (!stdinEnded && stdin.length > CHUNK_BYTES) socket.write(encodeFrame(FrameType.stdinEnd));
      } else {
        throw malformed(`a frame of type 0x${type.toString(16)} from a program`);
      }
    }
  } catch (error) {
    if (hasCode(error, 'GUEST_UNREACHABLE')) throw interrupted(error);
    throw error;
  } finally {
    passedOn.flush();
  }
  throw interrupted();
}

/** Throws `INVALID_REQUEST` for what no guest takes. */
function encodeRequest(request: GuestExecRequest): Buffer {
  const env = Object.entries(request.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const texts = [request.execId, request.cwd ?? '', request.user ?? '', ...request.argv, ...env];
  if (request.argv.length === 0 || request.argv.length > MAX_ARGUMENTS || env.length > MAX_VARIABLES)
    throw refused(`a program takes 1 to ${MAX_ARGUMENTS} arguments and up to ${MAX_VARIABLES} variables`);
  if (texts.some((text) => text.includes('\0'))) throw refused('no text may contain a NUL character');
  const frame = encodeFrame(
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
  );
  if (frame.length > MAX_REQUEST_PAYLOAD) throw refused(`it has more than ${MAX_REQUEST_PAYLOAD} bytes`);
  return frame;
}

function refused(why: string): DormouseError {
  return new DormouseError('INVALID_REQUEST', `The guest cannot run this: ${why}.`);
}

/** The input from one offset to another in frames, with its end when that is reached. */
function encodeStdin(stdin: Buffer, from: number, to: number): Buffer {
  const frames: Buffer[] = [];
  for (let at = from; at < Math.min(to, stdin.length); at += CHUNK_BYTES)
    frames.push(encodeFrame(FrameType.stdin, u64(BigInt(at)), stdin.subarray(at, at + CHUNK_BYTES)));
  if (to >= stdin.length) frames.push(encodeFrame(FrameType.stdinEnd));
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

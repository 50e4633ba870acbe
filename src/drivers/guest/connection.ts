import net from 'node:net';
import type { Clock } from '../../clock.ts';
import { DormouseError } from '../../errors/index.ts';
import {
  decodeError,
  encodeFrame,
  type Frame,
  FrameReader,
  FrameType,
  malformed,
  PROTOCOL_VERSION,
  u8,
} from './frames.ts';
import type { GuestEndpoint } from './types.ts';

/** One connection to a guest kit: hello, a request, and the frames that come back. */

/**
 * How long one try takes at most. A packet that comes before the guest runs waits in the tap device, so a try can outlast
 * the load; one that is lost is sent again by the kernel only after a second, so it must not take much longer.
 */
const TRY_MS = [200, 200, 250];
/** Pause after a refused connection: the guest runs, and the kit will listen in a moment. */
const REFUSED_PAUSE_MS = 10;

/**
 * Connects and shows the token, trying again until it works. A connection that is accepted is not proof of a guest;
 * what it answers is.
 *
 * @throws the signal's reason, or `GUEST_UNREACHABLE` when that is no error of ours
 */
export async function connectPatiently(
  endpoint: GuestEndpoint,
  clock: Clock,
  signal: AbortSignal,
): Promise<net.Socket> {
  for (let tries = 0; ; tries += 1) {
    if (signal.aborted) throw unreachable(endpoint, signal);
    const outcome = await connectOnce(endpoint, TRY_MS[Math.min(tries, TRY_MS.length - 1)] ?? 250, signal);
    if (outcome !== 'timeout' && outcome !== 'refused') return outcome;
    if (outcome === 'refused') await clock.sleep(REFUSED_PAUSE_MS, signal).catch(() => {});
  }
}

/**
 * Sends hello and request and yields the frames of the answer until the kit closes. Throws what an ERROR frame says,
 * `GUEST_PROTOCOL` for bytes that are no frames, `GUEST_UNREACHABLE` when the connection breaks, the signal's reason.
 */
export async function* converse(
  socket: net.Socket,
  endpoint: GuestEndpoint,
  request: Buffer,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  const hello = encodeFrame(
    FrameType.hello,
    Buffer.from('DMSE'),
    u8(PROTOCOL_VERSION),
    Buffer.from(endpoint.token, 'hex'),
  );
  const abort = (): void => void socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const reader = new FrameReader();
  try {
    socket.write(Buffer.concat([hello, request]));
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      for (const frame of reader.push(bytes)) {
        if (frame.type === FrameType.error) throw decodeError(frame.payload);
        if (frame.type < 0x80) throw malformed(`a frame of type 0x${frame.type.toString(16)}`);
        yield frame;
      }
    }
    if (signal.aborted) throw unreachable(endpoint, signal);
  } catch (error) {
    if (signal.aborted) throw unreachable(endpoint, signal);
    if (error instanceof DormouseError) throw error;
    throw new DormouseError('GUEST_UNREACHABLE', 'The connection to the guest broke.', { cause: error });
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/** The reason for which nobody waits any more; without one, that the guest did not answer. */
export function unreachable(endpoint: GuestEndpoint, signal: AbortSignal): DormouseError {
  if (signal.reason instanceof DormouseError) return signal.reason;
  return new DormouseError('GUEST_UNREACHABLE', `The guest at ${endpoint.address} did not answer in time.`, {
    cause: signal.reason,
  });
}

function connectOnce(
  { address, port }: GuestEndpoint,
  limitMs: number,
  signal: AbortSignal,
): Promise<net.Socket | 'timeout' | 'refused'> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port, noDelay: true });
    const done = (outcome: net.Socket | 'timeout' | 'refused'): void => {
      socket.removeAllListeners();
      socket.setTimeout(0);
      signal.removeEventListener('abort', aborted);
      if (outcome !== socket) socket.destroy();
      // From here on errors reach whoever reads; one before that must not end the process.
      socket.on('error', () => {});
      resolve(outcome);
    };
    const aborted = (): void => done('timeout');
    signal.addEventListener('abort', aborted, { once: true });
    socket.setTimeout(limitMs, () => done('timeout'));
    socket.once('error', () => done('refused'));
    socket.once('connect', () => done(socket));
  });
}

import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import type { Clock } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import { connectPatiently, converse } from './connection.ts';
import { exec } from './exec.ts';
import { CHUNK_BYTES, decodeOk, encodeFrame, FrameType, malformed, string, u8, u32, u64 } from './frames.ts';
import { Kept } from './output.ts';
import type { GuestDriver, GuestEndpoint, GuestHello, GuestIdentity } from './types.ts';

const ENTROPY_BYTES = 64;
const NS_PER_MS = 1_000_000n;
/** Between two tries of a request, in milliseconds: a peer may accept and close again at once. */
const RETRY_PAUSE_MS = 15;

/** Speaks to guest kits. The host trusts nothing that comes back: sizes are bounded, and forms are checked. */
export function createGuestDriver({ clock }: { clock: Clock }): GuestDriver {
  /** One request that is answered with OK. `make` is called for each try. */
  const simple = async (
    endpoint: GuestEndpoint,
    make: () => Buffer,
    signal: AbortSignal,
  ): Promise<GuestHello> => {
    const socket = await connectPatiently(endpoint, clock, signal);
    for await (const { type, payload } of converse(socket, endpoint, make(), signal)) {
      if (type === FrameType.ok) return decodeOk(payload);
      throw malformed(`a frame of type 0x${type.toString(16)} where the answer should be`);
    }
    throw new DormouseError('GUEST_UNREACHABLE', 'The guest closed the connection without an answer.');
  };

  /** As `simple`, again when the connection breaks: the guest may have been loaded a moment ago. For requests that can be repeated. */
  const patient = async (
    endpoint: GuestEndpoint,
    make: () => Buffer,
    signal: AbortSignal,
  ): Promise<GuestHello> => {
    for (;;) {
      try {
        return await simple(endpoint, make, signal);
      } catch (error) {
        if (signal.aborted || !hasCode(error, 'GUEST_UNREACHABLE')) throw error;
        await clock.sleep(RETRY_PAUSE_MS, signal).catch(() => {});
      }
    }
  };

  return {
    waitReady: (endpoint, signal) => patient(endpoint, () => encodeFrame(FrameType.ping), signal),
    identify: (endpoint, identity, signal) =>
      patient(endpoint, () => encodeIdentity(identity, clock), signal),
    async growRoot(endpoint, leastBytes, signal) {
      await simple(endpoint, () => encodeFrame(FrameType.grow, u64(BigInt(leastBytes))), signal);
    },
    exec: (endpoint, request, signal, output) => exec(endpoint, request, clock, signal, output),
    async kill(endpoint, execId, signalName, signal) {
      const number = (constants.signals as Record<string, number | undefined>)[signalName];
      if (number === undefined)
        throw new DormouseError('INVALID_REQUEST', `There is no signal ${signalName}.`);
      await simple(endpoint, () => encodeFrame(FrameType.kill, string(execId), u8(number)), signal);
    },
    async readFile(endpoint, path, limitBytes, signal) {
      const socket = await connectPatiently(endpoint, clock, signal);
      const content = new Kept(limitBytes);
      for await (const { type, payload } of converse(
        socket,
        endpoint,
        encodeFrame(FrameType.read, string(path), u32(limitBytes)),
        signal,
      )) {
        if (type === FrameType.dataEnd) return content.bytes();
        if (type !== FrameType.data || payload.length === 0 || content.size + payload.length > limitBytes)
          throw malformed('a file that does not end');
        content.add(content.size, payload);
      }
      throw new DormouseError(
        'GUEST_UNREACHABLE',
        'The guest closed the connection in the middle of a file.',
      );
    },
    async writeFile(endpoint, path, content, mode, signal) {
      const frames = [encodeFrame(FrameType.write, string(path), u32(mode))];
      for (let at = 0; at < content.length; at += CHUNK_BYTES)
        frames.push(encodeFrame(FrameType.data, content.subarray(at, at + CHUNK_BYTES)));
      await simple(endpoint, () => Buffer.concat([...frames, encodeFrame(FrameType.dataEnd)]), signal);
    },
  };
}

/** The identity with the time of this moment and fresh entropy. */
function encodeIdentity(identity: GuestIdentity, clock: Clock): Buffer {
  return encodeFrame(
    FrameType.identify,
    u64(BigInt(clock.nowMs()) * NS_PER_MS),
    randomBytes(ENTROPY_BYTES),
    string(identity.hostname),
    Buffer.from(identity.machineId, 'latin1'),
    Buffer.from(identity.mac.replaceAll(':', ''), 'hex'),
    Buffer.from(identity.nextToken, 'hex'),
  );
}

import type { Readable } from 'node:stream';
import { hostCommands } from '../actors/host/protocol.ts';
import { UPLOAD_PIECE_BYTES } from '../actors/host/template-protocol.ts';
import { hostSubject } from '../bus/subjects.ts';
import type { Bus } from '../bus/types.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, hasCode } from '../errors/index.ts';
import type { Logger } from '../log.ts';

/**
 * A file on its way from a caller through the edge to a host. The edge keeps no more of it than two pieces: the next one is
 * read while the one before is sent, and none is read while the host has not answered.
 */

/** Largest file that is taken unless a setting says otherwise, in bytes. */
export const UPLOAD_BYTES_MAX = 20 * 1024 ** 3;
/** How long a caller may send nothing, in milliseconds. */
const IDLE_MS_MAX = 60_000;
/** A piece that finds nobody is sent again so often, after a pause in milliseconds: the host's connection may come back. */
const PIECE_TRIES = 5;
const PIECE_PAUSE_MS = 1_000;

interface UploadPorts {
  bus: Bus;
  clock: Clock;
  log: Logger;
}

export interface Upload {
  hostId: string;
  uploadId: string;
  /** Of this request alone: another one may send a file under the same id. */
  attempt: string;
  teamId: string;
  body: Readable;
  /** Largest file that is taken, in bytes. */
  maxBytes: number;
  /** Aborts when the caller has gone or the edge stops. */
  signal: AbortSignal | undefined;
  /** Told of the bytes that the host has, after each piece. */
  progress(doneBytes: number): void;
}

/**
 * Sends a file to a host. Whoever calls this discards the upload in the end, whatever end it has.
 *
 * @throws `PAYLOAD_TOO_LARGE`; `UPLOAD_BROKEN` when the caller sends nothing for a minute; `CANCELLED` when it hangs up;
 * what the host throws
 */
export async function sendUpload(ports: UploadPorts, upload: Upload): Promise<void> {
  let doneBytes = 0;
  let sending: Promise<void> = Promise.resolve();
  try {
    for await (const piece of piecesOf(upload, ports.clock)) {
      await sending;
      const offset = doneBytes;
      doneBytes += piece.length;
      requireSize(doneBytes, upload.maxBytes);
      sending = sendPiece(ports, upload, offset, piece).then(() => upload.progress(offset + piece.length));
      // Whether it failed is found out when the next piece is there; until then it is no unhandled rejection.
      sending.catch(() => undefined);
    }
    await sending;
  } catch (error) {
    // What is on its way must not come after the end.
    await sending.catch(() => undefined);
    throw error;
  }
}

/** Refuses a file that is too large. Throws `PAYLOAD_TOO_LARGE`. */
export function requireSize(bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  throw new DormouseError(
    'PAYLOAD_TOO_LARGE',
    `The file has more than ${maxBytes} bytes, which is the most that a template is built from here.`,
    { data: { limit_bytes: maxBytes } },
  );
}

/** The file in pieces of `UPLOAD_PIECE_BYTES`; the last one may be smaller. The body itself is left open at the end. */
async function* piecesOf({ body, signal }: Upload, clock: Clock): AsyncGenerator<Buffer> {
  const chunks = body.iterator({ destroyOnReturn: false }) as AsyncGenerator<Buffer>;
  let piece = Buffer.allocUnsafe(UPLOAD_PIECE_BYTES);
  let filled = 0;
  let isWaiting = true;
  try {
    for (;;) {
      isWaiting = true;
      const { value: chunk, done } = await nextChunk(chunks, clock, signal);
      isWaiting = false;
      if (done) break;
      for (let taken = 0; taken < chunk.length; ) {
        const copied = chunk.copy(piece, filled, taken);
        taken += copied;
        filled += copied;
        if (filled < piece.length) continue;
        yield piece;
        // The one before may still be on its way.
        piece = Buffer.allocUnsafe(UPLOAD_PIECE_BYTES);
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
  } finally {
    // A read that waits holds the iterator until bytes come, which may be never.
    if (!isWaiting) await chunks.return(undefined);
  }
}

/** The next bytes. Throws `UPLOAD_BROKEN` when none come in time, `CANCELLED` when the caller hangs up, else the signal's reason. */
async function nextChunk(
  chunks: AsyncGenerator<Buffer>,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<Buffer>> {
  const cut = Promise.withResolvers<never>();
  const timer = clock.after(IDLE_MS_MAX, () =>
    cut.reject(
      new DormouseError(
        'UPLOAD_BROKEN',
        'No byte came for 60 seconds. Send the file again from its beginning.',
        {
          data: { idle_s: IDLE_MS_MAX / 1000 },
        },
      ),
    ),
  );
  const abort = (): void => cut.reject(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  const next = chunks.next().catch((cause: unknown) => {
    throw new DormouseError('CANCELLED', 'The caller closed the connection.', { cause });
  });
  next.catch(() => undefined);
  try {
    return await Promise.race([next, cut.promise]);
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', abort);
  }
}

async function sendPiece(
  { bus, clock }: UploadPorts,
  { hostId, uploadId, teamId, attempt, signal }: Upload,
  offset: number,
  piece: Buffer,
): Promise<void> {
  const { upload } = hostCommands;
  const body = { upload_id: uploadId, team_id: teamId, attempt, offset, data: piece.toString('base64') };
  for (let tries = 1; ; tries++) {
    try {
      await bus.request(`${hostSubject(hostId)}.${upload.name}`, upload, body, signal ? { signal } : {});
      return;
    } catch (error) {
      // One that is there already changes nothing, so it may be sent again.
      const isAway = hasCode(error, 'HOST_UNREACHABLE') || hasCode(error, 'BUS_UNAVAILABLE');
      if (!isAway || tries === PIECE_TRIES) throw error;
      await clock.sleep(PIECE_PAUSE_MS, signal);
    }
  }
}

/**
 * Tells the host to forget the file that this request sent; one that a template is being built from stays until that has ended, and
 * that of a newer request stays, too. When the host cannot
 * be told, it forgets the file by itself when nobody goes on with it.
 */
export async function discardUpload(
  { bus, log }: UploadPorts,
  { hostId, uploadId, teamId, attempt }: Pick<Upload, 'hostId' | 'uploadId' | 'teamId' | 'attempt'>,
): Promise<void> {
  const command = hostCommands.discardUpload;
  const body = { upload_id: uploadId, team_id: teamId, attempt };
  await bus
    .request(`${hostSubject(hostId)}.${command.name}`, command, body)
    .catch((error: unknown) =>
      log.warn({ err: error, uploadId }, 'the host was not told to forget an upload'),
    );
}

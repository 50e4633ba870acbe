import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { fileError, makeFolder } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import type { DiscardUpload, UploadPiece } from './template-protocol.ts';

export interface UploadsOptions {
  /** Folder of the uploads. */
  root: string;
  /** Largest upload, in MiB. */
  maxMb: number;
  /** Throws `DISK_FULL` when there is too little free space for more. */
  checkSpace(): Promise<void>;
  clock: Pick<Clock, 'monotonicMs'>;
}

interface Upload {
  teamId: string;
  file: string;
  /** The try to send it that counts: the newest. */
  attempt: string;
  /** Those before it, which may not know yet that they are over. */
  past: Set<string>;
  handle: FileHandle | undefined;
  /** How much is there. */
  bytes: number;
  usedAtMs: number;
  /** Somebody builds from it. */
  isTaken: boolean;
  /** It has been forgotten, also for those who waited for their turn meanwhile. */
  isGone: boolean;
  /** What is done with it, one after the other. */
  last: Promise<unknown>;
}

/** Uploads that are there at the same time: each keeps a file open. */
const UPLOADS_MAX = 32;
/** And of one team: the others must find room, too. */
const TEAM_UPLOADS_MAX = 4;
/** How long an upload that nobody goes on with is kept, in milliseconds. */
const IDLE_MS = 3_600_000;
const BYTES_PER_MB = 2 ** 20;

/**
 * Files that templates are built from, as they come: piece by piece, each with its place. Nothing of an upload is kept in memory, and
 * none outlives the agent: whoever uploads begins anew then.
 */
export class Uploads {
  readonly #options: UploadsOptions;
  readonly #uploads = new Map<string, Upload>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Removes what an earlier agent left. @returns how many files */
  async begin(): Promise<number> {
    const { root } = this.#options;
    const left = await readdir(root).catch((): string[] => []);
    for (const name of left) await rm(path.join(root, name), { recursive: true, force: true });
    return left.length;
  }

  /**
   * Takes a piece. What is there already of it changes nothing, so a piece may be sent again. The first piece of a new attempt begins
   * the upload anew; the attempts before it are refused from then on. One that comes while the upload is built from is the same
   * request again, which will get the outcome of that build: its pieces are taken and not kept.
   *
   * @returns how many bytes of the upload are there
   * @throws `UPLOAD_BROKEN`, with how much is there, when a part before the piece is missing; `PAYLOAD_TOO_LARGE`; `DISK_FULL`;
   * `RATE_LIMITED` when there are too many uploads; `INVALID_REQUEST` for data that is no base64 and for the upload of another
   * team; `DATA_DIR_UNWRITABLE`
   */
  async append(wish: UploadPiece): Promise<{ bytes: number }> {
    const { upload_id: id, team_id: teamId, attempt, offset, data } = wish;
    const piece = Buffer.from(data, 'base64');
    if (piece.toString('base64') !== data)
      throw new DormouseError('INVALID_REQUEST', 'The piece is not base64.', { data: { field: 'data' } });
    const upload = this.#find(id, teamId) ?? this.#begin(wish);
    const taken = await inTurn(upload, async () => {
      if (upload.isGone) return undefined;
      upload.usedAtMs = this.#options.clock.monotonicMs();
      if (upload.isTaken) {
        if (attempt === upload.attempt) throw broken(upload.bytes, 'It is being built from.');
        return { bytes: offset + piece.length };
      }
      if (attempt !== upload.attempt) await beginAnew(upload, attempt, offset);
      if (offset > upload.bytes) throw broken(upload.bytes, `It has ${upload.bytes} bytes, not ${offset}.`);
      const fresh = piece.subarray(upload.bytes - offset);
      if (fresh.length > 0) await this.#write(upload, fresh);
      return { bytes: upload.bytes };
    });
    // It was forgotten while this piece waited: a first one begins another upload, and a later one finds none.
    return taken ?? (await this.append(wish));
  }

  /**
   * Lends the file of an upload, which takes no more pieces then, and forgets the upload in the end.
   *
   * @throws `UPLOAD_BROKEN` when there is no such upload of the team; what `use` throws
   */
  async take<T>(id: string, teamId: string, use: (file: string) => Promise<T>): Promise<T> {
    const upload = this.#find(id, teamId);
    if (!upload || upload.isTaken)
      throw broken(0, upload ? 'It is being built from.' : 'It is not there (any more).');
    upload.isTaken = true;
    try {
      await inTurn(upload, () => closeFile(upload));
      return await use(upload.file);
    } finally {
      await this.#forget(id, upload);
    }
  }

  /** Forgets an upload that is there, unless a newer attempt has it. One that is being built from stays until that has ended. */
  async discard({ upload_id: id, team_id: teamId, attempt }: DiscardUpload): Promise<void> {
    const upload = this.#find(id, teamId);
    if (upload) await this.#forget(id, upload, () => !upload.isTaken && upload.attempt === attempt);
  }

  /** Forgets uploads that nobody goes on with. @returns their ids */
  async forgetIdle(): Promise<string[]> {
    const now = this.#options.clock.monotonicMs();
    const idle = [...this.#uploads].filter(
      ([, { isTaken, usedAtMs }]) => !isTaken && now - usedAtMs >= IDLE_MS,
    );
    for (const [id, upload] of idle) await this.#forget(id, upload, () => !upload.isTaken);
    return idle.map(([id]) => id);
  }

  /** Names of files that are no upload's. */
  async strays(): Promise<string[]> {
    const owned = [...this.#uploads.keys()];
    const names = await readdir(this.#options.root).catch((): string[] => []);
    // What is unpacked of an upload has its name and an ending.
    return names.filter((name) => !owned.some((id) => name === id || name.startsWith(`${id}.`)));
  }

  async removeStray(name: string): Promise<void> {
    await rm(path.join(this.#options.root, name), { recursive: true, force: true });
  }

  /** Closes the files. */
  async stop(): Promise<void> {
    await Promise.all([...this.#uploads.values()].map((upload) => inTurn(upload, () => closeFile(upload))));
  }

  #find(id: string, teamId: string): Upload | undefined {
    const upload = this.#uploads.get(id);
    if (upload && upload.teamId !== teamId)
      throw new DormouseError('INVALID_REQUEST', `There is an upload ${id} already. Begin another one.`);
    return upload;
  }

  #begin({ upload_id: id, team_id: teamId, attempt, offset }: UploadPiece): Upload {
    if (offset > 0)
      throw broken(0, 'It is not there (any more). The host was restarted, or it was left alone.');
    if (this.#uploads.size >= UPLOADS_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `${UPLOADS_MAX} uploads are under way on this host. Try again when one has ended.`,
      );
    const own = [...this.#uploads.values()].filter((upload) => upload.teamId === teamId).length;
    if (own >= TEAM_UPLOADS_MAX)
      throw new DormouseError(
        'RATE_LIMITED',
        `${TEAM_UPLOADS_MAX} uploads of your team are under way on this host. Try again when one has ended.`,
      );
    const upload: Upload = {
      teamId,
      attempt,
      past: new Set(),
      file: path.join(this.#options.root, id),
      handle: undefined,
      bytes: 0,
      usedAtMs: this.#options.clock.monotonicMs(),
      isTaken: false,
      isGone: false,
      last: Promise.resolve(),
    };
    this.#uploads.set(id, upload);
    return upload;
  }

  async #write(upload: Upload, fresh: Buffer): Promise<void> {
    const { root, maxMb, checkSpace } = this.#options;
    if (upload.bytes + fresh.length > maxMb * BYTES_PER_MB)
      throw new DormouseError('PAYLOAD_TOO_LARGE', `An upload may have ${maxMb} MiB.`, {
        data: { limit_bytes: maxMb * BYTES_PER_MB },
      });
    await checkSpace();
    try {
      if (!upload.handle) {
        await makeFolder(root);
        upload.handle = await open(upload.file, upload.bytes === 0 ? 'w' : 'r+', 0o600);
      }
      // At its place: one that failed half-way is written again over what is there of it.
      for (let done = 0; done < fresh.length; ) {
        const { bytesWritten } = await upload.handle.write(
          fresh,
          done,
          fresh.length - done,
          upload.bytes + done,
        );
        done += bytesWritten;
      }
      upload.bytes += fresh.length;
    } catch (error) {
      throw fileError(upload.file, error);
    }
  }

  /** @param may asked in its turn */
  async #forget(id: string, upload: Upload, may = () => true): Promise<void> {
    await inTurn(upload, async () => {
      if (upload.isGone || !may()) return;
      try {
        await closeFile(upload);
        await rm(upload.file, { force: true });
      } finally {
        // In the turn: whoever is next must not open the file again.
        upload.isGone = true;
        this.#uploads.delete(id);
      }
    });
  }
}

/** Makes the upload that of another attempt, empty. Throws `UPLOAD_BROKEN` when the attempt does not begin, or is over. */
async function beginAnew(upload: Upload, attempt: string, offset: number): Promise<void> {
  if (upload.past.has(attempt)) throw broken(0, 'The same request came again and sends it anew.');
  if (offset > 0) throw broken(0, 'Another request has begun it.');
  await closeFile(upload);
  upload.past.add(upload.attempt);
  upload.attempt = attempt;
  upload.bytes = 0;
}

async function inTurn<T>(upload: Upload, work: () => Promise<T>): Promise<T> {
  const done = upload.last.then(work);
  upload.last = done.catch(() => {});
  return await done;
}

async function closeFile(upload: Upload): Promise<void> {
  const { handle } = upload;
  upload.handle = undefined;
  await handle?.close();
}

function broken(bytes: number, why: string): DormouseError {
  return new DormouseError(
    'UPLOAD_BROKEN',
    `The upload cannot go on: ${why} Go on at ${bytes} bytes, or begin anew.`,
    {
      data: { bytes },
    },
  );
}

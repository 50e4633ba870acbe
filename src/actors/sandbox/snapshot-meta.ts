import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { bootId } from '../../boot-id.ts';
import { writeFileDurably } from '../../durable-file.ts';
import { DormouseError } from '../../errors/index.ts';
import { META_FILE } from '../../paths.ts';

/** What a snapshot directory says of itself: all that is needed to load it, also as somebody else's template. */
export const SnapshotMeta = Type.Object({
  v: Type.Literal(1),
  sandbox_id: Type.String(),
  created_at: Type.String(),
  vcpus: Type.Integer(),
  memory_mb: Type.Integer(),
  disk_size_mb: Type.Integer(),
  mac: Type.String(),
  hostname: Type.String(),
  /** The guest kit in the saved memory accepts this token. A secret: the file is readable by its owner only. */
  token: Type.String(),
  kernel_path: Type.String(),
  initrd_path: Type.String(),
  /** Boot of the host in which it was written: until `synced` is there, the memory is safe only as long as that lasts. */
  boot_id: Type.String(),
});
export type SnapshotMeta = Static<typeof SnapshotMeta>;

/** Marks a snapshot whose memory and disk have reached the host's disk. */
const SYNCED_FILE = 'synced';

/**
 * Writes the meta data into a snapshot directory, durably. A mark that is there tells of an earlier memory, so it goes first: a flush
 * that was ending when its snapshot was taken for something else may have left one.
 */
export async function writeMeta(dir: string, meta: SnapshotMeta): Promise<void> {
  await rm(path.join(dir, SYNCED_FILE), { force: true });
  await writeFileDurably(path.join(dir, META_FILE), JSON.stringify(meta), 0o600);
}

/** Reads it back. Throws `SNAPSHOT_INVALID` when it is missing or not what was written. */
export async function readMeta(dir: string): Promise<SnapshotMeta> {
  try {
    return Value.Parse(SnapshotMeta, JSON.parse(await readFile(path.join(dir, META_FILE), 'utf8')));
  } catch (error) {
    throw new DormouseError('SNAPSHOT_INVALID', `${dir} has no readable ${META_FILE}.`, { cause: error });
  }
}

/** Removes the meta data and the mark: a folder that is written to again must not look like a snapshot. */
export async function removeMeta(dir: string): Promise<void> {
  await rm(path.join(dir, META_FILE), { force: true });
  await rm(path.join(dir, SYNCED_FILE), { force: true });
}

/** Notes that everything of the snapshot has reached the disk. */
export async function markSynced(dir: string): Promise<void> {
  await writeFileDurably(path.join(dir, SYNCED_FILE), '', 0o600);
}

/**
 * Refuses a snapshot whose memory may have been lost: pausing does not wait for the memory to reach the disk, so after a
 * power cut within the seconds that this takes, the file is not what it was. Throws `SNAPSHOT_INVALID`.
 */
export async function checkSynced(dir: string, meta: SnapshotMeta): Promise<void> {
  if (meta.boot_id === (await bootId())) return;
  await readFile(path.join(dir, SYNCED_FILE)).catch((error: unknown) => {
    throw new DormouseError(
      'SNAPSHOT_INVALID',
      'The host lost power before the memory of this snapshot had reached its disk. The disk of the sandbox is kept.',
      { cause: error },
    );
  });
}

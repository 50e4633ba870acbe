import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { writeFileDurably } from '../../../durable-file.ts';
import { DormouseError } from '../../../errors/index.ts';
import { diskError } from '../files.ts';
import { SECTOR_BYTES } from './cow-size.ts';

/** What a disk says of itself, in its folder. It is written last, so a disk that has it is whole. */
export const RECORD_FILE = 'disk.json';
/** What was written to the disk. */
export const COW_FILE = 'cow';

const SECTORS_PER_MB = 2 ** 20 / SECTOR_BYTES;

const DiskRecord = Type.Object({
  v: Type.Literal(1),
  driver: Type.Literal('device-mapper'),
  /** The origin. What the disk holds is nothing without it. */
  image: Type.String(),
  image_bytes: Type.Integer({ minimum: 1 }),
  /** When the image was last changed, in nanoseconds since the epoch: a file that was changed is no origin any more. */
  image_mtime_ns: Type.String(),
  /** Size that the guest sees, in MiB. */
  size_mb: Type.Integer({ minimum: 1 }),
});
export type DiskRecord = Static<typeof DiskRecord>;

export const sectorsOf = (record: Pick<DiskRecord, 'size_mb'>): number => record.size_mb * SECTORS_PER_MB;
/** A loop device has whole sectors only. */
export const imageSectorsOf = (record: Pick<DiskRecord, 'image_bytes'>): number =>
  Math.floor(record.image_bytes / SECTOR_BYTES);

/** What a disk of that size says of itself that is made from the image now. Throws `DISK_FAILED` when the image cannot be read. */
export async function newRecord(image: string, sizeMb: number): Promise<DiskRecord> {
  const { size, mtimeNs } = await statOf(image);
  return {
    v: 1,
    driver: 'device-mapper',
    image,
    image_bytes: Number(size),
    image_mtime_ns: String(mtimeNs),
    size_mb: sizeMb,
  };
}

/** Writes the record, durably. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
export async function writeRecord(dir: string, record: DiskRecord): Promise<void> {
  await writeFileDurably(path.join(dir, RECORD_FILE), JSON.stringify(record), 0o600);
}

/** The record in the folder; undefined when there is none. Throws `DISK_FAILED` when it is not one. */
export async function findRecord(dir: string): Promise<DiskRecord | undefined> {
  const file = path.join(dir, RECORD_FILE);
  try {
    return Value.Parse(DiskRecord, JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DormouseError('DISK_FAILED', `${file} is not the record of a disk.`, { cause: error });
  }
}

/** The record in the folder. Throws `DISK_FAILED` when there is none. */
export async function readRecord(dir: string): Promise<DiskRecord> {
  const record = await findRecord(dir);
  if (!record) throw new DormouseError('DISK_FAILED', `There is no disk in ${dir}.`);
  return record;
}

/**
 * Checks that the origin is still what the disk was made from. Blocks that the guest did not write are read from it: on
 * any other origin the disk would be a mixture of two file systems.
 *
 * @throws `IMAGE_CHANGED`; `DISK_FAILED` when the image cannot be read
 */
export async function checkImage(record: DiskRecord): Promise<void> {
  const { size, mtimeNs } = await statOf(record.image);
  if (Number(size) === record.image_bytes && String(mtimeNs) === record.image_mtime_ns) return;
  throw new DormouseError(
    'IMAGE_CHANGED',
    `The image ${record.image} is not the one that this disk was made from. Put the old one back, with its time of change.`,
    {
      data: {
        image: record.image,
        expected: { bytes: record.image_bytes, mtime_ns: record.image_mtime_ns },
        found: { bytes: Number(size), mtime_ns: String(mtimeNs) },
      },
    },
  );
}

async function statOf(image: string) {
  return await stat(image, { bigint: true }).catch((error: unknown) => {
    throw diskError(`The image ${image} could not be read`, error);
  });
}

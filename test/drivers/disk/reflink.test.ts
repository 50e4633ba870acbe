import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { createReflinkDriver } from '../../../src/drivers/disk/reflink/index.ts';
import { openTestStore, tempDataDir } from '../../support/data-dir.ts';

const signal = new AbortController().signal;
const MB = 2 ** 20;
const sandboxId = 'sb-aaaaaaaaaaaaaaaaaaaa';

/** The same for both file systems: with reflinks (XFS) and without (the data directory as it is, tmpfs or ext4). */
for (const where of ['xfs', 'plain'] as const) {
  t.test(`the life of a disk on ${where}`, async (t) => {
    const paths = await tempDataDir(t);
    if (where === 'xfs') await openTestStore(paths);
    else await mkdir(paths.store);
    const at = (...names: string[]): string => path.join(paths.store, ...names);
    const imagePath = at('image');
    await execa('mkfs.ext4', ['-q', imagePath, '16M']);
    const imageBefore = await readFile(imagePath);
    const disk = createReflinkDriver();
    const live = { sandboxId, dir: at('live') };

    await t.rejects(disk.create({ ...live, imagePath, sizeMb: 15 }, signal), {
      code: 'INVALID_SIZE',
      data: { disk_size_mb: 15, image_size_mb: 16 },
    });
    await t.rejects(disk.create({ ...live, imagePath, sizeMb: Number.NaN }, signal), {
      code: 'INVALID_SIZE',
    });
    await t.rejects(disk.create({ ...live, imagePath: at('none'), sizeMb: 64 }, signal), {
      code: 'DISK_FAILED',
    });
    await t.rejects(disk.attach(live, signal), { code: 'DISK_FAILED' }, 'there is none yet');

    await disk.create({ ...live, imagePath, sizeMb: 20480 }, signal);
    const attached = await disk.attach(live, signal);
    t.equal((await stat(attached.path)).size, 20480 * MB, 'the guest sees the size that was asked for');
    const usage = await disk.usage(live);
    t.equal(usage.sizeBytes, 20480 * MB);
    t.ok(usage.allocatedBytes <= 17 * MB, `really takes ${usage.allocatedBytes} bytes`);
    await execa('e2fsck', ['-fn', attached.path]);

    await execa('resize2fs', [attached.path, '32M']);
    const changed = await blockCount(attached.path);
    await disk.create({ ...live, imagePath, sizeMb: 20480 }, signal);
    t.equal(await blockCount(attached.path), changed, 'creating again keeps what the guest wrote');

    await disk.detach(live, signal);
    await disk.detach(live, signal);
    await disk.clone(live.dir, at('snapshot'), signal);
    await disk.clone(live.dir, at('snapshot'), signal);
    t.equal(await blockCount(at('snapshot', 'disk')), changed);

    // As a monitor has it: open, and written to without waiting for the disk.
    const monitor = await open(attached.path, 'r+');
    await monitor.write('early', 40 * MB);
    await disk.capture(live, at('capture'), signal);
    await monitor.write('late!', 40 * MB);
    t.equal(await textAt(at('capture', 'disk'), 40 * MB), 'early');
    t.equal(await textAt(attached.path, 40 * MB), 'late!', 'a copy shares nothing that is written to');
    await monitor.write(Buffer.alloc(5), 0, 5, 40 * MB);
    await monitor.close();

    await disk.grow(at('snapshot'), 20481);
    await disk.grow(at('snapshot'), 20480);
    t.equal((await stat(at('snapshot', 'disk'))).size, 20481 * MB, 'a disk grows, and never shrinks');
    t.equal(await blockCount(at('snapshot', 'disk')), changed, 'what is on it stays');
    await t.rejects(disk.grow(at('never'), 64), { code: 'DISK_FAILED' });

    await disk.flatten(live, at('flat'), signal);
    await execa('e2fsck', ['-fn', at('flat')]);
    t.ok((await stat(at('flat'))).blocks * 512 <= 20 * MB, 'a flat image is sparse');

    await writeFile(at('live', 'disk.12345678.partial'), 'of a killed copy');
    await writeFile(at('live', 'memory'), 'not ours');
    await disk.remove(live, signal);
    await disk.remove(live, signal);
    t.same(await readdir(live.dir), ['memory'], 'only the disk is removed');
    await disk.remove({ sandboxId, dir: at('never') }, signal);
    t.equal((await readFile(imagePath)).compare(imageBefore), 0, 'the image was never written to');
  });
}

/** Five bytes of a file, as text. */
async function textAt(file: string, position: number): Promise<string> {
  const handle = await open(file, 'r');
  const { buffer } = await handle.read({ buffer: Buffer.alloc(5), position });
  await handle.close();
  return buffer.toString();
}

/** Size in blocks of the ext4 file system on the disk: what resize2fs changed. */
async function blockCount(disk: string): Promise<string | undefined> {
  const { stdout } = await execa('dumpe2fs', ['-h', disk]);
  return /Block count:\s+(\d+)/.exec(stdout)?.[1];
}

import { chmod, chown, link, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { isSound, MIB, takenBy, tempFolder } from '../support.ts';
import { contentIn, importer, namesIn, needsRoot, SYSTEM_ENV, statIn } from './support.ts';

/** Longer than the 100 bytes of a header's name and the 155 of its prefix. */
const LONG = `opt/${'a long folder/'.repeat(20)}${'n'.repeat(200)}`;
const LATIN1 = Buffer.from('opt/caf\xe9', 'latin1');
/** Between two blocks of data: a hole of 64 MiB. */
const HOLE_BYTES = 64 * MIB;

/** A tree with what a root file system can have; its owners are kept only by root. */
async function makeTree(root: string): Promise<void> {
  const at = (name: string): string => path.join(root, name);
  for (const folder of ['usr/bin', 'etc', 'home/user', 'var/lib', path.dirname(LONG)])
    await mkdir(at(folder), { recursive: true });
  await symlink('usr/bin', at('bin'));
  await writeFile(at('usr/bin/dash'), 'a shell');
  await symlink('dash', at('usr/bin/sh'));
  await writeFile(at('usr/bin/su'), 'setuid');
  await chmod(at('usr/bin/su'), 0o4755);
  await writeFile(at('usr/bin/ping'), 'with a capability');
  await execa('setcap', ['cap_net_raw,cap_sys_nice=ep', at('usr/bin/ping')], { env: SYSTEM_ENV });
  await writeFile(at('home/user/mine'), 'of a user');
  await chown(at('home/user'), 1000, 1000);
  await chown(at('home/user/mine'), 1000, 123456);
  await chmod(at('home/user/mine'), 0o640);
  await link(at('home/user/mine'), at('home/user/the same'));
  await symlink('/etc/none', at('etc/dangling'));
  await writeFile(at(LONG), 'a long name');
  await writeFile(at('etc/ümläut \n"quoted" \\'), 'an odd name');
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), LATIN1]), 'a name that is not UTF-8');
  await execa('mkfifo', [at('var/lib/pipe')]);
  await writeFile(at('var/lib/sparse'), 'head');
  await truncate(at('var/lib/sparse'), HOLE_BYTES);
  await writeFile(at('var/lib/sparse'), 'tail', { flag: 'a' });
}

t.test('every way to make an archive of a tree gives the same file system', needsRoot, async (t) => {
  const root = path.join(await tempFolder(t), 'tree');
  await mkdir(root);
  await makeTree(root);
  const archive = path.join(path.dirname(root), 'archive');
  for (const [what, options] of [
    ['GNU names, sparse', ['--format=gnu', '--sparse']],
    [
      'PAX, sparse, capabilities, xz',
      ['--format=posix', '--sparse', '--xattrs', '--xattrs-include=*', '--xz'],
    ],
    ['PAX, capabilities, gzip', ['--format=posix', '--xattrs', '--xattrs-include=*', '--gzip']],
    ['GNU names, zstd, absolute', ['--format=gnu', '--zstd', '--transform=s,^\\.,,Sh', '--absolute-names']],
  ] as const) {
    await t.test(what, async (t) => {
      const { build, imagePath, left } = await importer(t);
      await execa('tar', ['--create', `--file=${archive}`, ...options, `--directory=${root}`, '.'], {
        env: { LC_ALL: 'C' },
      });
      const built = await build(archive);
      t.match(built, { format: 'tar', leftOut: [] });
      t.ok(await isSound(imagePath), 'e2fsck finds nothing wrong');
      t.same(await left(), []);
      t.ok((await takenBy(imagePath)) < 16 * MIB, 'holes take no space');

      t.match(await statIn(imagePath, '/usr/bin/su'), /Mode: +04755/);
      t.match(await statIn(imagePath, '/bin'), /Fast link dest: "usr\/bin"/);
      t.match(await statIn(imagePath, '/etc/dangling'), /Fast link dest: "\/etc\/none"/);
      const mine = await statIn(imagePath, '/home/user/mine');
      t.match(mine, /Mode: +0640/);
      t.match(mine, /User: +1000 +Group: +123456/);
      t.match(mine, /Links: 2/);
      t.match(await statIn(imagePath, '/home/user'), /User: +1000 +Group: +1000/);
      t.equal(String(await contentIn(imagePath, '/home/user/the same')), 'of a user');
      t.equal(String(await contentIn(imagePath, `/${LONG}`)), 'a long name');
      t.match(await statIn(imagePath, '/var/lib/pipe'), /Type: FIFO/);
      const sparse = await contentIn(imagePath, '/var/lib/sparse');
      t.equal(sparse.length, HOLE_BYTES + 4);
      t.equal(`${sparse.subarray(0, 4)}${sparse.subarray(-4)}`, 'headtail');
      t.same(await namesIn(imagePath, '/etc'), [
        'dangling',
        Buffer.from('ümläut \n"quoted" \\').toString('latin1'),
      ]);
      t.ok((await namesIn(imagePath, '/opt')).includes('caf\xe9'), 'a name that is not UTF-8');
      t.same(
        (await namesIn(imagePath, '/')).filter((name) => name !== 'lost+found'),
        [...['bin', 'dev', 'etc', 'home', 'opt', 'proc', 'run', 'sys', 'tmp', 'usr', 'var']],
      );
      t.match(await statIn(imagePath, '/tmp'), /Mode: +01777/);
      t.match(await statIn(imagePath, '/'), /Mode: +0755/);
      if (what.includes('capabilities')) {
        const { stdout } = await execa(
          'debugfs',
          ['-R', 'ea_get -x /usr/bin/ping security.capability', imagePath],
          {
            env: SYSTEM_ENV,
          },
        );
        // Bits 13 (net_raw) and 23 (sys_nice) of vfs_cap_data, revision 2, effective: linux/capability.h.
        t.match(stdout.replaceAll(/\s/g, ''), '0100000200208000');
      }
    });
  }
});

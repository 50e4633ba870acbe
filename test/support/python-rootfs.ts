import { access, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { lockFile } from '../../scripts/setup/lock.mjs';

const FOLDER = path.join(import.meta.dirname, '..', '..', '.cache', 'test-rootfs');

/**
 * mmdebstrap(1): what dpkg calls essential (with /bin/sh, without apt) and an interpreter, and no texts for people. About
 * 135 MB, in half a minute.
 */
const OPTIONS = [
  ...['--variant=essential', '--include=python3-minimal', '--mode=root', '--format=tar', '--quiet'],
  ...['doc', 'info', 'locale', 'man'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
];

/**
 * A root file system that is not ours: Debian with python3, as a tar. It is made once and stays in `.cache`; it needs
 * root, apt and mmdebstrap, which the set-up for tests installs.
 *
 * @returns path of the tar. It is shared, so nobody may change it.
 */
export async function pythonRootfs(): Promise<string> {
  const archive = path.join(FOLDER, 'python.tar');
  const keyFile = `${archive}.key`;
  const lock = await lockFile(path.join(FOLDER, 'lock'), () => {});
  try {
    const source = await debianSource();
    const key = JSON.stringify({ options: OPTIONS, suite: source.suite });
    const isMade =
      (await readFile(keyFile, 'utf8').catch(() => '')) === key &&
      (await access(archive).then(
        () => true,
        () => false,
      ));
    if (isMade) return archive;
    await rm(keyFile, { force: true });
    const partial = `${archive}.partial`;
    await execa('mmdebstrap', [...OPTIONS, source.suite, partial, source.mirror], { stdin: 'ignore' });
    await rename(partial, archive);
    await writeFile(keyFile, key);
    return archive;
  } finally {
    await lock.release();
  }
}

/** Where apt of this machine gets its own system from. */
async function debianSource(): Promise<{ mirror: string; suite: string }> {
  const format = '$(REPO_URI) $(CODENAME) $(COMPONENT)';
  const { stdout } = await execa('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const sources = stdout.split('\n').map((line) => line.split(' '));
  const [mirror, suite] =
    sources.find(([, name, part]) => part === 'main' && name && !name.includes('-')) ?? [];
  if (!mirror || !suite) throw new Error('apt knows no sources. Run: apt-get update');
  return { mirror, suite };
}

// @ts-check
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { tapStamp } from './npm-packages.mjs';
import { run } from './run.mjs';
import { testKernelDir } from './test-kernel.mjs';

/**
 * node_modules as an image of a file system, for the kernel that tests run in: to load a program of some hundred files takes
 * half as long from there as from the host's files over 9p. In `.cache/test-kernel`: `node_modules.img`, and
 * `node_modules.inputs`, written last, which says what it was made from.
 */

const MIB = 2 ** 20;
/** Room for what a file system needs itself. The image is sparse. */
const SPARE_BYTES = 256 * MIB;
const SPARE_INODES = 1000;
const BLOCK_BYTES = 4096;

/** @param {string} repo @returns {string} */
export function testPackagesImage(repo) {
  return path.join(testKernelDir(repo), 'node_modules.img');
}

/** True when the image holds what node_modules holds now. @param {string} repo */
export function testPackagesAreCurrent(repo) {
  try {
    return existsSync(testPackagesImage(repo)) && readFileSync(stamp(repo), 'utf8') === hashOfInputs(repo);
  } catch {
    return false;
  }
}

/** Makes the image, whether it is there or not. @param {string} repo @throws {import('./run.mjs').SetupError} */
export function makeTestPackages(repo) {
  const inputs = hashOfInputs(repo);
  const image = testPackagesImage(repo);
  const folder = path.join(repo, 'node_modules');
  const { files, bytes } = sizeOf(folder);
  mkdirSync(path.dirname(image), { recursive: true });
  rmSync(stamp(repo), { force: true });
  rmSync(`${image}.new`, { force: true });
  run(
    'mke2fs',
    [
      ...['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-b', String(BLOCK_BYTES)],
      ...['-N', String(files + SPARE_INODES), '-d', folder, `${image}.new`],
      `${Math.ceil((bytes + SPARE_BYTES) / MIB)}M`,
    ],
    { env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` } },
  );
  renameSync(`${image}.new`, image);
  writeFileSync(stamp(repo), inputs);
}

/** Entries below a folder, and the bytes of the blocks that they take. @param {string} folder */
function sizeOf(folder) {
  const names = readdirSync(folder, { recursive: true }).map(String);
  const blocks = names.map((name) => Math.ceil(lstatSync(path.join(folder, name)).size / BLOCK_BYTES));
  return { files: names.length, bytes: blocks.reduce((sum, count) => sum + count, 0) * BLOCK_BYTES };
}

/** @param {string} repo */
function stamp(repo) {
  return path.join(testKernelDir(repo), 'node_modules.inputs');
}

/** What npm and tap say that they installed. @param {string} repo */
function hashOfInputs(repo) {
  const hash = createHash('sha256');
  for (const file of [path.join(repo, 'node_modules', '.package-lock.json'), tapStamp(repo)])
    hash.update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

// @ts-check
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { cpioArchive, FILE, FOLDER, PROGRAM } from './cpio.mjs';
import { CLOUD_KERNEL, fetchKernelPackages, unpackKernel } from './guest-kernel.mjs';
import { parseModuleList, resolveModules } from './kernel-modules.mjs';
import { run } from './run.mjs';

/**
 * What every sandbox boots with, in `.cache/guest`: `vmlinux`, `initrd.cpio` with the guest kit as /init and the kernel
 * modules it loads, and `manifest.json`, written last, which says what they were made from.
 *
 * @typedef {{ kernelVersion: string, inputs: string, hash: string }} Manifest `inputs` is the SHA-256 of what the files
 *   were made from, `hash` that of the files: vmlinux, then initrd.cpio
 */

/** Folders that the kit mounts on. */
const MOUNT_POINTS = ['dev', 'newroot', 'proc', 'sys'];

/** @param {string} repo @returns {string} */
export function guestAssetsDir(repo) {
  return path.join(repo, '.cache', 'guest');
}

/** True when the files are there and were made from what the sources are now. @param {string} repo */
export function guestAssetsAreCurrent(repo) {
  const dir = guestAssetsDir(repo);
  try {
    const manifest = JSON.parse(readFileSync(path.join(dir, 'manifest.json'), 'utf8'));
    return (
      manifest.inputs === hashOfInputs(repo) &&
      existsSync(path.join(dir, 'vmlinux')) &&
      existsSync(path.join(dir, 'initrd.cpio'))
    );
  } catch {
    return false;
  }
}

/**
 * Makes the files, whether they are there or not.
 *
 * @param {string} repo root of the checkout
 * @returns {Manifest}
 * @throws {import('./run.mjs').SetupError}
 */
export function makeGuestAssets(repo) {
  const dir = guestAssetsDir(repo);
  const inputs = hashOfInputs(repo);
  run('make', ['-C', path.join(repo, 'guest')]);
  fetchKernelPackages(path.join(dir, 'packages'), CLOUD_KERNEL);
  const workDir = mkdtempSync(path.join(dir, 'work-'));
  try {
    const kernel = unpackKernel(path.join(dir, 'packages'), workDir);
    const initrd = initramfs(
      readFileSync(path.join(repo, 'guest', 'build', 'kit')),
      resolveModules(
        kernel.modulesDir,
        parseModuleList(readFileSync(path.join(repo, 'guest', 'modules.txt'), 'utf8')),
      ),
    );
    const hash = createHash('sha256').update(kernel.vmlinux).update(initrd).digest('hex');
    const manifest = { kernelVersion: kernel.version, inputs, hash };
    replace(dir, 'vmlinux', kernel.vmlinux);
    replace(dir, 'initrd.cpio', initrd);
    replace(dir, 'manifest.json', `${JSON.stringify(manifest, null, 2)}\n`);
    return manifest;
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}

/**
 * The initramfs. It is not compressed: the guest would have to decompress it under emulation, and the file is small.
 *
 * @param {Buffer} kit the guest kit's program
 * @param {ReadonlyArray<{ name: string, content: Buffer }>} modules in the order in which they are loaded
 * @returns {Buffer}
 */
export function initramfs(kit, modules) {
  return cpioArchive([
    { name: 'init', mode: PROGRAM, content: kit },
    ...MOUNT_POINTS.map((name) => ({ name, mode: FOLDER })),
    { name: 'm', mode: FOLDER },
    { name: 'm/order', mode: FILE, content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')) },
    ...modules.map(({ name, content }) => ({ name: `m/${name}`, mode: FILE, content })),
  ]);
}

/** Hash of all that the files are made from, except the kernel, which stays until it is deleted. @param {string} repo */
function hashOfInputs(repo) {
  const guest = path.join(repo, 'guest');
  const own = path.join(repo, 'scripts', 'setup');
  const files = [
    ...filesOf(guest, /(\.[ch]|^Makefile|^modules\.txt)$/),
    ...filesOf(own, /^(cpio|guest-.*|kernel-modules|vmlinux)\.mjs$/),
  ];
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${path.relative(repo, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

/** @param {string} dir @param {RegExp} pattern @returns {string[]} */
function filesOf(dir, pattern) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => path.join(dir, name));
}

/** @param {string} dir @param {string} name @param {Buffer | string} content */
function replace(dir, name, content) {
  mkdirSync(dir, { recursive: true });
  const temporary = path.join(dir, `${name}.new`);
  writeFileSync(temporary, content);
  renameSync(temporary, path.join(dir, name));
}

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
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { cpioArchive, FILE, FOLDER, LINK, PROGRAM } from './cpio.mjs';
import { fetchKernelPackages, GENERIC_KERNEL, indexModules, unpackKernel } from './guest-kernel.mjs';
import { parseModuleList, selectModules } from './kernel-modules.mjs';
import { staticBusybox } from './os-packages.mjs';
import { SetupError } from './run.mjs';

/**
 * The kernel that tests run in when they need one of their own (`test/device-mapper/`), in `.cache/test-kernel`:
 * `vmlinux`, `initrd.cpio` with busybox, modules and /init, and `manifest.json`, written last, which says what they were
 * made from.
 *
 * @typedef {{ kernelVersion: string, inputs: string }} Manifest `inputs` is the SHA-256 of what the files were made from
 */

/** Names under which busybox is called in the guest. */
const APPLETS = [
  ...['base64', 'cat', 'cp', 'echo', 'ip', 'kill', 'ln', 'mkdir', 'mkfifo', 'modprobe', 'mount', 'reboot'],
  ...['setsid', 'sh', 'sleep', 'switch_root'],
];
const MOUNT_POINTS = ['dev', 'proc', 'sys'];
/** What depmod reads, beside the modules themselves. */
const DEPMOD_INPUTS = ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'];

/** @param {string} repo @returns {string} */
export function testKernelDir(repo) {
  return path.join(repo, '.cache', 'test-kernel');
}

/** True when the files are there and were made from what the sources are now. @param {string} repo */
export function testKernelIsCurrent(repo) {
  const dir = testKernelDir(repo);
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
 * @throws {SetupError}
 */
export function makeTestKernel(repo) {
  const dir = testKernelDir(repo);
  const inputs = hashOfInputs(repo);
  fetchKernelPackages(path.join(dir, 'packages'), GENERIC_KERNEL);
  const workDir = mkdtempSync(path.join(dir, 'work-'));
  try {
    const kernel = unpackKernel(path.join(dir, 'packages'), workDir);
    const wanted = parseModuleList(readFileSync(path.join(guestDir(repo), 'modules.txt'), 'utf8'));
    const root = path.join(workDir, 'selected');
    layOutModules(kernel, wanted, path.join(root, 'lib', 'modules', kernel.version));
    indexModules(root, kernel.version);
    /** @type {Manifest} */
    const manifest = { kernelVersion: kernel.version, inputs };
    replace(dir, 'vmlinux', kernel.vmlinux);
    replace(dir, 'initrd.cpio', initramfs(guestDir(repo), root));
    replace(dir, 'manifest.json', `${JSON.stringify(manifest, null, 2)}\n`);
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}

/**
 * Writes the wanted modules as lib/modules/VERSION, uncompressed: to decompress them in the guest would take longer.
 *
 * @param {{ modulesDir: string }} kernel
 * @param {readonly string[]} wanted
 * @param {string} dir
 */
function layOutModules({ modulesDir }, wanted, dir) {
  const inputs = DEPMOD_INPUTS.filter((name) => existsSync(path.join(modulesDir, name))).map((name) => ({
    file: name,
    content: readFileSync(path.join(modulesDir, name)),
  }));
  for (const { file, content } of [...inputs, ...selectModules(modulesDir, wanted)]) {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), content);
  }
}

/**
 * @param {string} scripts folder of `init` and `stage2`
 * @param {string} modulesRoot folder above lib/modules/VERSION
 * @returns {Buffer}
 */
function initramfs(scripts, modulesRoot) {
  const busybox = staticBusybox();
  if (busybox === undefined) throw new SetupError('There is no static busybox: install busybox-static.');
  return cpioArchive([
    { name: 'init', mode: PROGRAM, content: readFileSync(path.join(scripts, 'init')) },
    { name: 'stage2', mode: PROGRAM, content: readFileSync(path.join(scripts, 'stage2')) },
    ...MOUNT_POINTS.map((name) => ({ name, mode: FOLDER })),
    { name: 'bin', mode: FOLDER },
    { name: 'bin/busybox', mode: PROGRAM, content: readFileSync(busybox) },
    ...APPLETS.map((name) => ({ name: `bin/${name}`, mode: LINK, content: Buffer.from('busybox') })),
    ...filesBelow(modulesRoot),
  ]);
}

/** A folder's content as entries of an archive, each folder before what is in it. @param {string} root */
function filesBelow(root) {
  return readdirSync(root, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const file = path.join(root, name);
      return statSync(file).isDirectory()
        ? { name, mode: FOLDER }
        : { name, mode: FILE, content: readFileSync(file) };
    });
}

/** Hash of all that the files are made from, except kernel and busybox, which stay until they are deleted. @param {string} repo */
function hashOfInputs(repo) {
  const own = path.join(repo, 'scripts', 'setup');
  const files = [
    ...['init', 'stage2', 'modules.txt'].map((name) => path.join(guestDir(repo), name)),
    ...['cpio', 'guest-kernel', 'kernel-modules', 'test-kernel', 'vmlinux'].map((name) =>
      path.join(own, `${name}.mjs`),
    ),
  ];
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${path.relative(repo, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

/** @param {string} repo */
function guestDir(repo) {
  return path.join(repo, 'test', 'device-mapper', 'guest');
}

/** @param {string} dir @param {string} name @param {Buffer | string} content */
function replace(dir, name, content) {
  const temporary = path.join(dir, `${name}.new`);
  writeFileSync(temporary, content);
  renameSync(temporary, path.join(dir, name));
}

// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { updatePackageLists } from './os-packages.mjs';
import { run, SetupError } from './run.mjs';
import { extractVmlinux } from './vmlinux.mjs';

/**
 * A kernel of the distribution. It is downloaded and unpacked, never installed.
 *
 * @typedef {object} Flavour
 * @property {string} use what it is for, in words
 * @property {readonly string[]} metaPackages packages that always depend on the newest one: Debian's, then Ubuntu's
 * @property {readonly string[]} modulePrefixes names of Ubuntu's packages of modules, before the kernel's version; Debian
 *   has modules and image in one
 */

/** For virtual machines. @type {Flavour} */
export const CLOUD_KERNEL = {
  use: 'guest kernel',
  metaPackages: ['linux-image-cloud-amd64', 'linux-image-virtual'],
  modulePrefixes: ['linux-modules-'],
};

/** With all that the distribution has, such as 9p. @type {Flavour} */
export const GENERIC_KERNEL = {
  use: 'kernel to test in',
  metaPackages: ['linux-image-amd64', 'linux-image-generic'],
  modulePrefixes: ['linux-modules-', 'linux-modules-extra-'],
};

/** apt's own user cannot write to a folder of ours, and says so in a warning; what it downloads is verified all the same. */
const APT_AS_ROOT = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];

/**
 * Makes sure that the kernel's packages are in `folder`. They are kept: a kernel changes only when the folder is
 * deleted, never by itself below sandboxes that were saved with it.
 *
 * @param {string} folder
 * @param {Flavour} flavour
 * @throws {SetupError} when there is no apt, no such package, or no way to its server
 */
export function fetchKernelPackages(folder, flavour) {
  if (existsSync(folder)) return;
  mkdirSync(path.dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}-`);
  try {
    try {
      download(kernelPackages(flavour), temporary);
    } catch (error) {
      // Lists of packages that are missing or too old are the usual reason.
      if (!updatePackageLists()) throw error;
      download(kernelPackages(flavour), temporary);
    }
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @param {readonly string[]} packages @param {string} folder */
function download(packages, folder) {
  run('apt-get', ['download', '-q', ...APT_AS_ROOT, ...packages], { cwd: folder });
}

/** Names of the packages that hold the kernel image and its modules. @param {Flavour} flavour @returns {string[]} */
function kernelPackages({ use, metaPackages, modulePrefixes }) {
  for (const meta of metaPackages) {
    const depends = packageField(meta, 'Depends') ?? '';
    const image = /\blinux-image-\d[\w.+-]*/.exec(depends)?.[0];
    if (image === undefined) continue;
    // Ubuntu has the modules in packages of their own.
    const modules = modulePrefixes.map((prefix) => image.replace('linux-image-', prefix));
    return [image, ...modules.filter((name) => packageField(name, 'Package') !== undefined)];
  }
  throw new SetupError(
    `No ${use}: apt knows none of ${metaPackages.join(', ')}. Run: apt-get update && npm run setup`,
  );
}

/** @param {string} name @param {string} field @returns {string | undefined} */
function packageField(name, field) {
  let shown;
  try {
    shown = run('apt-cache', ['show', '--no-all-versions', name]).toString();
  } catch {
    return undefined;
  }
  return new RegExp(`^${field}: (.*)$`, 'm').exec(shown)?.[1];
}

/**
 * Unpacks the packages and takes the kernel out of its compressed image.
 *
 * @param {string} packagesDir
 * @param {string} workDir empty folder to unpack into
 * @returns {{ version: string, vmlinux: Buffer, modulesDir: string }} `modulesDir` is lib/modules/VERSION, with modules.dep
 * @throws {SetupError} when the packages do not hold exactly one kernel
 */
export function unpackKernel(packagesDir, workDir) {
  for (const name of readdirSync(packagesDir))
    run('dpkg-deb', ['--extract', path.join(packagesDir, name), workDir]);
  const images = readdirSync(path.join(workDir, 'boot')).filter((name) => name.startsWith('vmlinuz-'));
  const [image] = images;
  if (image === undefined || images.length > 1)
    throw new SetupError(`The kernel packages hold ${images.length} kernels, not one: delete ${packagesDir}`);
  const version = image.slice('vmlinuz-'.length);
  // Newer distributions have everything below /usr.
  const root = existsSync(path.join(workDir, 'lib', 'modules')) ? workDir : path.join(workDir, 'usr');
  indexModules(root, version);
  return {
    version,
    vmlinux: extractVmlinux(readFileSync(path.join(workDir, 'boot', image))),
    modulesDir: path.join(root, 'lib', 'modules', version),
  };
}

/**
 * Writes modules.dep and the other indexes of lib/modules/VERSION, which come to be when a kernel is installed.
 *
 * @param {string} root folder above lib
 * @param {string} version
 */
export function indexModules(root, version) {
  run('depmod', ['--basedir', root, version], { env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` } });
}

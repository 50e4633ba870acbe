// @ts-check
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { updatePackageLists } from './os-packages.mjs';
import { run, SetupError } from './run.mjs';
import { extractVmlinux } from './vmlinux.mjs';

/**
 * Packages that always depend on the distribution's newest kernel for virtual machines: Debian's, then Ubuntu's. The
 * kernel is downloaded and unpacked, never installed.
 */
const KERNEL_META_PACKAGES = ['linux-image-cloud-amd64', 'linux-image-virtual'];

/** apt's own user cannot write to a folder of ours, and says so in a warning; what it downloads is verified all the same. */
const APT_AS_ROOT = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];

/**
 * Makes sure that the kernel's packages are in `folder`. They are kept: a kernel changes only when the folder is
 * deleted, never by itself below sandboxes that were saved with it.
 *
 * @param {string} folder
 * @throws {SetupError} when there is no apt, no such package, or no way to its server
 */
export function fetchKernelPackages(folder) {
  if (existsSync(folder)) return;
  mkdirSync(path.dirname(folder), { recursive: true });
  const temporary = mkdtempSync(`${folder}-`);
  try {
    try {
      download(kernelPackages(), temporary);
    } catch (error) {
      // Lists of packages that are missing or too old are the usual reason.
      if (!updatePackageLists()) throw error;
      download(kernelPackages(), temporary);
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

/** Names of the packages that hold the kernel image and its modules. @returns {string[]} */
function kernelPackages() {
  for (const meta of KERNEL_META_PACKAGES) {
    const depends = packageField(meta, 'Depends') ?? '';
    const image = /\blinux-image-\d[\w.+-]*/.exec(depends)?.[0];
    if (image === undefined) continue;
    // Ubuntu has the modules in a package of their own.
    const modules = image.replace('linux-image-', 'linux-modules-');
    return packageField(modules, 'Package') === undefined ? [image] : [image, modules];
  }
  throw new SetupError(
    `No guest kernel: apt knows none of ${KERNEL_META_PACKAGES.join(', ')}. Run: apt-get update && npm run setup`,
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
  run('depmod', ['--basedir', root, version], { env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` } });
  return {
    version,
    vmlinux: extractVmlinux(readFileSync(path.join(workDir, 'boot', image))),
    modulesDir: path.join(root, 'lib', 'modules', version),
  };
}

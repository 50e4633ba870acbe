// @ts-check
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run, SetupError } from './run.mjs';

/**
 * Packages of Debian and Ubuntu, each with how it is known to be there. Looking for files takes no process, works when
 * a program came from elsewhere, and is done in a millisecond.
 *
 * @typedef {{ name: string, why: string, isThere: () => boolean }} OsPackage
 */

/** @type {readonly OsPackage[]} */
export const OS_PACKAGES = [
  { name: 'qemu-system-x86', why: 'runs the virtual machines', isThere: () => has('qemu-system-x86_64') },
  { name: 'nats-server', why: 'the message bus', isThere: () => has('nats-server') },
  { name: 'postgresql', why: 'the records', isThere: hasPostgres },
  { name: 'busybox-static', why: 'the template `minimal`', isThere: hasStaticBusybox },
  { name: 'gcc', why: 'compiles the guest kit', isThere: () => has('gcc') },
  { name: 'make', why: 'compiles the guest kit', isThere: () => has('make') },
  { name: 'libc6-dev', why: 'compiles the guest kit', isThere: hasStaticLibc },
  {
    name: 'e2fsprogs',
    why: 'makes, checks and resizes disks',
    isThere: () => has('mke2fs', 'e2fsck', 'resize2fs'),
  },
  { name: 'xfsprogs', why: 'a store with reflinks', isThere: () => has('mkfs.xfs') },
  { name: 'dmsetup', why: 'device-mapper disks', isThere: () => has('dmsetup') },
  { name: 'mount', why: 'mounts the store, loop devices', isThere: () => has('mount', 'umount', 'losetup') },
  {
    name: 'util-linux',
    why: 'locks, namespaces, limits',
    isThere: () => has('flock', 'nsenter', 'prlimit', 'setpriv'),
  },
  { name: 'iproute2', why: 'network slots', isThere: () => has('ip') },
  { name: 'nftables', why: 'network slots', isThere: () => has('nft') },
  { name: 'kmod', why: "orders the guest kernel's modules", isThere: () => has('depmod') },
  { name: 'tar', why: 'unpacks root file systems', isThere: () => has('tar') },
  { name: 'xz-utils', why: 'unpacks the guest kernel and root file systems', isThere: () => has('xz') },
  { name: 'zstd', why: 'unpacks the guest kernel and root file systems', isThere: () => has('zstd') },
  { name: 'lz4', why: 'unpacks the guest kernel', isThere: () => has('lz4') },
];

/** What only the tests need. @type {readonly OsPackage[]} */
export const TEST_PACKAGES = [
  { name: 'udev', why: 'tests of device-mapper with udevd', isThere: () => UDEVD_FILES.some(existsSync) },
  { name: 'mmdebstrap', why: 'makes a Debian root file system', isThere: () => has('mmdebstrap') },
  { name: 'openssl', why: 'certificates for a NATS server with TLS', isThere: () => has('openssl') },
  { name: 'curl', why: 'sessions of the pages under docs/', isThere: () => has('curl') },
  { name: 'jq', why: 'sessions of the pages under docs/', isThere: () => has('jq') },
  { name: 'chromium', why: 'shows the pages', isThere: () => has('chromium') },
  { name: 'fonts-dejavu-core', why: 'letters on the pages', isThere: () => existsSync(DEJAVU_FONT) },
];

const UDEVD_FILES = ['/usr/lib/systemd/systemd-udevd', '/lib/systemd/systemd-udevd'];
const DEJAVU_FONT = '/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf';
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const POSTGRES_FOLDER = '/usr/lib/postgresql';
const APT_OPTIONS = ['-q', '-o', 'DPkg::Lock::Timeout=600'];

/** @param {{ tests?: boolean }} [options] `tests`: also what only the tests need @returns {OsPackage[]} */
export function missingPackages({ tests = false } = {}) {
  return [...OS_PACKAGES, ...(tests ? TEST_PACKAGES : [])].filter(({ isThere }) => !isThere());
}

/**
 * Installs packages with apt. PostgreSQL's package may start a server of the distribution's own; it is not used and
 * left alone.
 *
 * @param {readonly OsPackage[]} packages
 * @throws {SetupError} when there is no apt or no right to install, with the command that would do it
 */
export function installPackages(packages) {
  const names = packages.map(({ name }) => name);
  if (!updatePackageLists()) throw new SetupError(cannotInstall(packages));
  run('apt-get', ['install', '-y', '--no-install-recommends', ...APT_OPTIONS, ...names], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
  });
  const still = packages.filter(({ isThere }) => !isThere());
  if (still.length > 0)
    throw new SetupError(
      `apt installed ${names.join(' ')}, but these are still not usable: ${still.map(({ name }) => name).join(' ')}`,
    );
}

/**
 * What to say when packages are missing and this process cannot install them.
 *
 * @param {readonly OsPackage[]} packages
 * @returns {string}
 */
export function cannotInstall(packages) {
  const reason = has('apt-get') ? 'this needs root' : 'this system has no apt-get';
  const missing = packages.map(({ name, why }) => `  ${name.padEnd(16)} ${why}`);
  const names = packages.map(({ name }) => name).join(' ');
  return [
    `Packages are missing, and ${reason} to install them:`,
    ...missing,
    'On Debian 12 or Ubuntu, run:',
    `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names}`,
  ].join('\n');
}

/** Fetches apt's package lists. False when this process cannot: no apt, or not root. */
export function updatePackageLists() {
  if (process.getuid?.() !== 0 || !has('apt-get')) return false;
  run('apt-get', ['update', ...APT_OPTIONS], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  return true;
}

/** True when all programs are in `PATH` or a folder of the system. @param {...string} programs */
function has(...programs) {
  return programs.every((name) => findProgram(name) !== undefined);
}

/** @param {string} name @returns {string | undefined} */
function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter).filter(Boolean), ...SYSTEM_FOLDERS];
  return folders.map((folder) => path.join(folder, name)).find(isExecutable);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasPostgres() {
  if (!existsSync(POSTGRES_FOLDER)) return false;
  return readdirSync(POSTGRES_FOLDER).some((version) =>
    ['initdb', 'postgres'].every((name) => isExecutable(path.join(POSTGRES_FOLDER, version, 'bin', name))),
  );
}

function hasStaticBusybox() {
  return staticBusybox() !== undefined;
}

/** Path of a busybox that runs in a guest without libraries. @returns {string | undefined} */
export function staticBusybox() {
  const file = findProgram('busybox');
  return file !== undefined && !needsInterpreter(readFileSync(file)) ? file : undefined;
}

function hasStaticLibc() {
  if (!existsSync('/usr/include/stdlib.h')) return false;
  return ['/usr/lib/x86_64-linux-gnu/libc.a', '/usr/lib64/libc.a', '/usr/lib/libc.a'].some(existsSync);
}

/** Type of the ELF program header that names the dynamic linker (elf(5)). */
const PT_INTERP = 3;

/**
 * True when a 64-bit little-endian ELF program is dynamically linked (elf(5)).
 *
 * @param {Buffer} elf
 */
export function needsInterpreter(elf) {
  const tableAt = Number(elf.readBigUInt64LE(32));
  const entryBytes = elf.readUInt16LE(54);
  const entries = elf.readUInt16LE(56);
  return Array.from({ length: entries }, (_, index) =>
    elf.readUInt32LE(tableAt + index * entryBytes),
  ).includes(PT_INTERP);
}

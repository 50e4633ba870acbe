// @ts-check
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What the tests must not leave behind. Everything that they make on disk lies in the folder that they get as TMPDIR, so
 * that what they left is told from what others on the machine do meanwhile; only network namespaces have to be compared
 * with those that were there before.
 *
 * @param {string} folder the tests' TMPDIR
 * @param {ReadonlySet<string>} namespacesBefore from `networkNamespaces`
 * @returns {string[]} one line for each thing that is left, for a person
 */
export function leftovers(folder, namespacesBefore) {
  return [
    ...processesIn(folder),
    ...mountsIn(folder),
    ...loopsIn(folder),
    ...[...networkNamespaces()]
      .filter((name) => !namespacesBefore.has(name))
      .map((name) => `network namespace ${name}`),
    ...entries(folder).map((name) => `file ${folder}/${name}`),
  ];
}

/** Names of Dormouse's network namespaces. @returns {Set<string>} */
export function networkNamespaces() {
  return new Set(entries('/run/netns').filter((name) => name.startsWith('dormouse-')));
}

/** Processes that were started for the tests, told by the folder in their environment, arguments or working directory. @param {string} folder */
function processesIn(folder) {
  return entries('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .filter((pid) => {
      const texts = [read(`/proc/${pid}/environ`), read(`/proc/${pid}/cmdline`), link(`/proc/${pid}/cwd`)];
      return texts.some((text) => text.includes(folder));
    })
    .map((pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`);
}

/** @param {string} folder */
function mountsIn(folder) {
  return read('/proc/self/mounts')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((where) => where.startsWith(folder))
    .map((where) => `mount ${where}`);
}

/** @param {string} folder */
function loopsIn(folder) {
  return entries('/sys/block')
    .map((name) => ({ name, file: read(`/sys/block/${name}/loop/backing_file`).trim() }))
    .filter(({ file }) => file.startsWith(folder))
    .map(({ name, file }) => `loop device ${name} on ${file}`);
}

/** @param {string} dir @returns {string[]} */
function entries(dir) {
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** Content of a file of /proc or /sys; empty when it went away or belongs to somebody else. @param {string} file */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** @param {string} file */
function link(file) {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

// @ts-check
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run, SetupError } from './run.mjs';

/** How distributions compress modules; the kit loads plain ones, so that it needs no decompressor. */
const DECOMPRESSORS = { '.ko.xz': ['xz', '-dc'], '.ko.zst': ['zstd', '-dcq'], '.ko.gz': ['gzip', '-dc'] };

/**
 * The modules that the guest needs, with all that they depend on, in an order in which each can be loaded.
 * A module that is built into this kernel is left out.
 *
 * @param {string} modulesDir lib/modules/VERSION of the kernel, with modules.dep
 * @param {readonly string[]} wanted names, such as `virtio_net`
 * @returns {Array<{ name: string, content: Buffer }>} file name (`virtio_net.ko`) and uncompressed content
 * @throws {SetupError} when the kernel has a module neither as a file nor built in
 */
export function resolveModules(modulesDir, wanted) {
  const { files, missing } = withDependencies(modulesDir, wanted);
  if (missing.length > 0) throw new SetupError(`The guest kernel has no module ${missing.join(', ')}.`);
  return files.map((file) => ({
    name: path.basename(plainName(file)),
    content: readModule(path.join(modulesDir, file)),
  }));
}

/**
 * The modules that are there of those that are wanted, with all that they depend on, where the kernel's folder has them:
 * what `modprobe` expects.
 *
 * @param {string} modulesDir lib/modules/VERSION of the kernel, with modules.dep
 * @param {readonly string[]} wanted names, such as `virtio_net`
 * @returns {Array<{ file: string, content: Buffer }>} path within the folder (`kernel/drivers/net/virtio_net.ko`) and
 *   uncompressed content
 */
export function selectModules(modulesDir, wanted) {
  return withDependencies(modulesDir, wanted).files.map((file) => ({
    file: plainName(file),
    content: readModule(path.join(modulesDir, file)),
  }));
}

/**
 * @param {string} modulesDir
 * @param {readonly string[]} wanted
 * @returns {{ files: string[], missing: string[] }} files as modules.dep has them, in an order in which each can be
 *   loaded; names that are neither a file nor built in
 */
function withDependencies(modulesDir, wanted) {
  const dependencies = readDependencies(modulesDir);
  const byName = new Map([...dependencies.keys()].map((file) => [moduleName(file), file]));
  const builtIn = new Set(lines(path.join(modulesDir, 'modules.builtin')).map(moduleName));

  /** @type {Set<string>} */
  const ordered = new Set();
  /** @type {string[]} */
  const missing = [];
  for (const name of wanted) {
    const file = byName.get(moduleName(name));
    if (file === undefined) {
      if (!builtIn.has(moduleName(name))) missing.push(name);
      continue;
    }
    // depmod lists what must be there first last.
    for (const dependency of [...(dependencies.get(file) ?? [])].reverse()) ordered.add(dependency);
    ordered.add(file);
  }
  return { files: [...ordered], missing };
}

/**
 * Names in a list of modules: one per line, `#` begins a comment.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function parseModuleList(text) {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter(Boolean);
}

/** @param {string} modulesDir @returns {Map<string, string[]>} file of a module to the files that it depends on */
function readDependencies(modulesDir) {
  return new Map(
    lines(path.join(modulesDir, 'modules.dep')).map((line) => {
      const [file = '', rest = ''] = line.split(':');
      return [file, rest.trim().split(' ').filter(Boolean)];
    }),
  );
}

/** A module's name from its file: the kernel takes `-` and `_` as the same. @param {string} file */
function moduleName(file) {
  return path
    .basename(file)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_');
}

/** A module's file once it is not compressed any more. @param {string} file */
function plainName(file) {
  return file.replace(/\.ko[^/]*$/, '.ko');
}

/** @param {string} file @returns {Buffer} */
function readModule(file) {
  const content = readFileSync(file);
  const extension = path.basename(file).replace(/^.*?(\.ko.*)$/, '$1');
  if (extension === '.ko') return content;
  const [program, ...args] = DECOMPRESSORS[/** @type {keyof typeof DECOMPRESSORS} */ (extension)] ?? [];
  if (program === undefined) throw new SetupError(`${file} is compressed in an unknown way.`);
  return run(program, args, { input: content });
}

/** @param {string} file @returns {string[]} */
function lines(file) {
  if (!existsSync(file)) throw new SetupError(`The kernel package has no ${path.basename(file)}.`);
  return readFileSync(file, 'utf8').split('\n').filter(Boolean);
}

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
  const dependencies = readDependencies(modulesDir);
  const byName = new Map([...dependencies.keys()].map((file) => [moduleName(file), file]));
  const builtIn = new Set(lines(path.join(modulesDir, 'modules.builtin')).map(moduleName));

  /** @type {Set<string>} */
  const ordered = new Set();
  for (const name of wanted) {
    const file = byName.get(moduleName(name));
    if (file === undefined) {
      if (builtIn.has(moduleName(name))) continue;
      throw new SetupError(`The guest kernel has no module ${name}.`);
    }
    // depmod lists what must be there first last.
    for (const dependency of [...(dependencies.get(file) ?? [])].reverse()) ordered.add(dependency);
    ordered.add(file);
  }
  return [...ordered].map((file) => ({
    name: path.basename(file).replace(/\.ko.*$/, '.ko'),
    content: readModule(path.join(modulesDir, file)),
  }));
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

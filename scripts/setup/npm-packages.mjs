// @ts-check
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './run.mjs';

/** @typedef {{ version?: string, optional?: boolean, link?: boolean }} LockedPackage */

/**
 * True when node_modules holds what package-lock.json says. npm writes down what it installed, as the last thing that it
 * does, in a lock file of its own within node_modules: the two are compared.
 *
 * @param {string} repo
 */
export function npmPackagesAreCurrent(repo) {
  const installed = lockedPackages(path.join(repo, 'node_modules', '.package-lock.json'));
  const wanted = lockedPackages(path.join(repo, 'package-lock.json'));
  if (!installed || !wanted || !existsSync(pinnedNode(repo))) return false;
  return Object.entries(wanted).every(([name, { version, optional }]) => {
    // The project itself.
    if (name === '') return true;
    const found = installed[name];
    // An optional package for another platform is not installed.
    return found ? found.version === version : optional === true;
  });
}

/** @param {string} repo @throws {import('./run.mjs').SetupError} */
export function installNpmPackages(repo) {
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: repo });
}

/** The Node that everything runs on: a dependency like the others. @param {string} repo @returns {string} */
export function pinnedNode(repo) {
  return path.join(repo, 'node_modules', '.bin', 'node');
}

/**
 * True when tap was built with the plugins that .taprc names. A run after `npm ci` would start with tap's own set,
 * whose TypeScript plugin does not work with this project's compiler.
 *
 * @param {string} repo
 */
export function tapPluginsAreCurrent(repo) {
  const stamp = tapStamp(repo);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOfTaprc(repo);
}

/** @param {string} repo @throws {import('./run.mjs').SetupError} */
export function buildTapPlugins(repo) {
  const bin = path.join(repo, 'node_modules', '.bin');
  run(path.join(bin, 'tap'), ['build'], { cwd: repo, env: { PATH: `${bin}:${process.env.PATH ?? ''}` } });
  writeFileSync(tapStamp(repo), hashOfTaprc(repo));
}

/** Within node_modules, so that it goes when `npm ci` makes that anew. @param {string} repo */
export function tapStamp(repo) {
  return path.join(repo, 'node_modules', '.tap-plugins');
}

/** @param {string} repo */
function hashOfTaprc(repo) {
  return createHash('sha256')
    .update(readFileSync(path.join(repo, '.taprc')))
    .digest('hex');
}

/** @param {string} file @returns {Record<string, LockedPackage> | undefined} */
function lockedPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

#!/usr/bin/env node
// @ts-check

/**
 * Makes a fresh clone ready to run, and is done at once when it is. Runs on the Node that the machine has (20 or newer)
 * and needs nothing installed; what it installs is described in `setup/`.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { guestAssetsAreCurrent, makeGuestAssets } from './setup/guest-assets.mjs';
import { lockFile } from './setup/lock.mjs';
import {
  buildTapPlugins,
  installNpmPackages,
  npmPackagesAreCurrent,
  tapPluginsAreCurrent,
} from './setup/npm-packages.mjs';
import { installPackages, missingPackages } from './setup/os-packages.mjs';
import { SetupError } from './setup/run.mjs';
import { makeTestKernel, testKernelIsCurrent } from './setup/test-kernel.mjs';
import { makeTestPackages, testPackagesAreCurrent } from './setup/test-packages.mjs';
import { makeUi, uiIsCurrent } from './setup/ui.mjs';

const HELP = `Usage: npm run setup -- [options]

Installs what Dormouse needs and is not there yet: packages of the operating
system (apt, as root), npm packages from the lock file, the guest kit, a guest
kernel, and the pages for browsers. Quick when there is nothing to do.

  --tests   also prepare for the tests
  --quiet   print errors only
  --help    print this`;

const repo = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/**
 * One thing that must be so. `isDone` is asked first and must be quick; `make` may return lines that are worth knowing.
 *
 * @typedef {{ title: string, isDone: () => boolean, make: () => string[] | void }} Step
 */

/** The machine's part: apt has a lock of its own. @param {boolean} forTests @returns {Step} */
function machineStep(forTests) {
  const missing = missingPackages({ tests: forTests });
  return {
    title: `operating system packages: ${missing.map(({ name }) => name).join(' ')}`,
    isDone: () => missing.length === 0,
    make: () => installPackages(missing),
  };
}

/** The checkout's part. @param {boolean} forTests @returns {Step[]} */
function checkoutSteps(forTests) {
  return [
    {
      title: 'npm packages (about a minute)',
      isDone: () => npmPackagesAreCurrent(repo),
      make: () => installNpmPackages(repo),
    },
    {
      title: 'guest kit, kernel and initramfs',
      isDone: () => guestAssetsAreCurrent(repo),
      make: () => void makeGuestAssets(repo),
    },
    {
      title: 'pages for browsers',
      isDone: () => uiIsCurrent(repo),
      make: () => makeUi(repo),
    },
    ...(forTests
      ? [
          {
            title: "the test runner's plugins",
            isDone: () => tapPluginsAreCurrent(repo),
            make: () => buildTapPlugins(repo),
          },
          {
            title: 'test kernel (a download of some 70 MB)',
            isDone: () => testKernelIsCurrent(repo),
            make: () => makeTestKernel(repo),
          },
          {
            title: 'npm packages for the test kernel',
            isDone: () => testPackagesAreCurrent(repo),
            make: () => makeTestPackages(repo),
          },
        ]
      : []),
  ];
}

async function main() {
  const { values } = parseArgs({
    options: {
      tests: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  /** @param {string} line */
  const say = (line) => {
    if (!values.quiet) console.error(`setup: ${line}`);
  };

  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new SetupError(`Dormouse runs on Linux on x86-64; this is ${process.platform} on ${process.arch}.`);
  /** @param {Step} step */
  const take = ({ title, isDone, make }) => {
    // Another set-up may have done it while this one waited.
    if (isDone()) return;
    say(`${title} …`);
    const startedAt = performance.now();
    const report = make() ?? [];
    say(`done in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    for (const line of report) say(line);
  };

  take(machineStep(values.tests));
  const todo = checkoutSteps(values.tests).filter(({ isDone }) => !isDone());
  if (todo.length === 0) return;
  const lock = await lockFile(path.join(repo, '.cache', 'setup.lock'), () =>
    say('waiting for another set-up of this checkout'),
  );
  try {
    for (const step of todo) take(step);
  } finally {
    await lock.release();
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof SetupError) && /** @type {any} */ (error)?.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION')
    throw error;
  console.error(`setup: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

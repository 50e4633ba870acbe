#!/usr/bin/env node
// @ts-check

/**
 * What `npm test` runs after the set-up: format and lint, types, all tests, and then whether the machine is as it was
 * before. With arguments (test files, or options of tap) it runs only those tests.
 *
 * The last line says how many assertions and checks passed and failed; the exit status is 1 when any did.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { leftovers, networkNamespaces } from './test/leftovers.mjs';
import { tapLog } from './test/tap-log.mjs';

const repo = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = path.join(repo, 'node_modules', '.bin');
/** Test files at once. Most wait for virtual machines; more of them would starve each other on two processors. */
const JOBS = 2;
/** How long a process that was told to end may take to be gone. */
const SETTLE_MS = 5000;
const SETTLE_STEP_MS = 100;

/**
 * A kernel in an emulated machine, which takes both processors for a quarter of an hour: it runs after the others, whose
 * virtual machines would have to share them.
 */
const KERNEL_TESTS = 'test/device-mapper.test.ts';
/** Takes both processors for minutes, and waits for nothing: beside it others would miss their time limits. */
const SIMULATION_TESTS = 'test/simulation/';

const chosen = process.argv.slice(2);
/** Short: the paths of sockets below it must fit into 107 bytes. */
const tmpDir = mkdtempSync('/tmp/dmt-');
// PostgreSQL and others run below it as users of their own.
chmodSync(tmpDir, 0o711);
const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}`, TMPDIR: tmpDir, NO_COLOR: '1' };
const namespacesBefore = networkNamespaces();
let passed = 0;
let failed = 0;

if (chosen.length === 0) {
  await check('format and lint', 'biome', ['check', '--colors=off', '.']);
  await check('types', 'tsc', ['--noEmit', '--pretty', 'false']);
  await check('types of the pages', 'tsc', ['--noEmit', '--pretty', 'false', '-p', 'src/ui']);
}
if (chosen.length > 0) await runTests(chosen);
else for (const files of inTurns(testFiles())) await runTests(files);
await checkLeftovers();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

/** Those that share the machine, and then, one after another, those that need it for themselves. @param {readonly string[]} files */
function inTurns(files) {
  /** @param {string} file */
  const isAlone = (file) => file === KERNEL_TESTS || file.startsWith(SIMULATION_TESTS);
  const alone = files.filter(isAlone).sort((a, b) => Number(a === KERNEL_TESTS) - Number(b === KERNEL_TESTS));
  return [files.filter((file) => !isAlone(file)), ...alone.map((file) => [file])];
}

/** Paths of all test files that tap runs, from the checkout's root. What is in `device-mapper/` runs inside the kernel. */
function testFiles() {
  return readdirSync(path.join(repo, 'test'), { recursive: true })
    .map((name) => path.join('test', String(name)))
    .filter((file) => file.endsWith('.test.ts') && !file.startsWith('test/device-mapper/'))
    .sort();
}

/** Runs a program whose output matters only when it fails. @param {string} title @param {string} program @param {string[]} args */
async function check(title, program, args) {
  /** @type {string[]} */
  const lines = [];
  const status = await runProgram(program, args, (line) => lines.push(line));
  report(title, status === 0, lines);
}

/** @param {readonly string[]} args test files, or options of tap */
async function runTests(args) {
  const log = tapLog((line) => console.log(line));
  const status = await runProgram('tap', [`--jobs=${JOBS}`, '--reporter=tap', ...args], log.line);
  passed += log.counts.passed;
  failed += log.counts.failed;
  if (log.counts.skipped > 0) console.log(`${log.counts.skipped} skipped`);
  // A runner that failed without a failed test, such as one that found no files, must not look like success.
  if ((status !== 0 && log.counts.failed === 0) || !log.isComplete())
    report('the test runner', false, [`it ended with status ${status}`]);
}

async function checkLeftovers() {
  let left = leftovers(tmpDir, namespacesBefore);
  for (let waitedMs = 0; left.length > 0 && waitedMs < SETTLE_MS; waitedMs += SETTLE_STEP_MS) {
    await delay(SETTLE_STEP_MS);
    left = leftovers(tmpDir, namespacesBefore);
  }
  report('the machine is as it was before', left.length === 0, left);
  // What the tests left in it is kept, to be looked at.
  if (left.length === 0) rmdirSync(tmpDir);
}

/** @param {string} title @param {boolean} ok @param {readonly string[]} details */
function report(title, ok, details) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${title}`);
  if (ok) passed += 1;
  else {
    failed += 1;
    for (const line of details) console.log(`    ${line}`);
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {(line: string) => void} onLine gets what it writes to both outputs
 * @returns {Promise<number | string>} its exit status, or the signal that ended it
 */
async function runProgram(program, args, onLine) {
  const child = spawn(path.join(bin, program), args, { cwd: repo, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve, reject) => {
    child.once('exit', (status, signal) => {
      resolve(status ?? signal ?? 'unknown');
      // A process that a test left behind may hold the pipes open for ever.
      setTimeout(() => [child.stdout, child.stderr].map((output) => output.destroy()), SETTLE_MS).unref();
    });
    child.once('error', reject);
  });
  const outputs = [child.stdout, child.stderr].map(async (input) => {
    for await (const line of readline.createInterface({ input })) onLine(line);
  });
  await Promise.all(outputs);
  return ended;
}

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { play } from '../test/golden/play.ts';
import { CREATED_AT_MS, sandboxWalks, stateOf } from '../test/golden/walks.ts';

/**
 * Writes the journals that this version writes, one for each state of a sandbox, to be read by every version after it.
 * Needs the Node of the project, which runs TypeScript: `node_modules/.bin/node scripts/golden-journals.mjs`.
 */
const ROOT = path.join(import.meta.dirname, '..');
export const GOLDEN_DIR = path.join(ROOT, 'test', 'golden', 'journals');

/** Stands for the boot of the host in which a journal was written. Who reads it puts its own in, or another. */
export const BOOT = '00000000-0000-4000-8000-000000000000';

const HELP = `Usage: node_modules/.bin/node scripts/golden-journals.mjs [--source DIR] [--force]

Writes test/golden/journals/<version>/, the journals of every state a sandbox can be in, by the version in package.json.
Do it once for each version, when it is released.

  --source DIR  the checkout that writes them: of a version that was released before. This one by default
  --force       writes over journals that are there. That is almost never right: they stand for what people have on
                their disks, where nobody can write them again. When a test cannot read them any more, it is the code
                that has to change. Right only while the version is not released yet
`;

/**
 * Writes the journals of every state into `folder`. Each is as the actor wrote it: `<state>.json` is its `state.json`,
 * `<state>.next.json` its `state.next.json`, each if it was there.
 *
 * @param {{ folder: string, source?: string, force?: boolean }} options
 * @returns {Promise<string[]>} names of the files
 */
export async function writeGolden({ folder, source = ROOT, force = false }) {
  if (existsSync(folder) && !force)
    throw new Error(`${folder} is there already, and a journal that was released never changes. See --help.`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const files = [];
  for (const { name, moves, input } of sandboxWalks) {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-golden-'));
    try {
      await walk({ source, dir, name, moves, input });
      for (const kind of ['json', 'next.json']) {
        const text = await readFile(path.join(dir, `state.${kind}`), 'utf8').catch(() => undefined);
        if (text === undefined) continue;
        const record = { ...JSON.parse(text), boot: BOOT };
        await writeFile(path.join(folder, `${name}.${kind}`), `${JSON.stringify(record, null, 2)}\n`);
        files.push(`${name}.${kind}`);
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  return files;
}

/**
 * Lets a sandbox come to the state that the walk is named after, and stops it there.
 *
 * @param {{ source: string, dir: string } & import('../test/golden/walks.ts').Walk} options
 */
async function walk({ source, dir, name, moves, input }) {
  const played = await play({ source, dir, input, startMs: CREATED_AT_MS });
  try {
    for (const [index, move] of moves.entries()) {
      // The last two events still wait in the outbox.
      played.stream.isUp = index < moves.length - 2;
      await played.go(move);
    }
    const { state } = played.actor;
    if (state !== stateOf(name)) throw new Error(`The walk to ${name} leads to ${state}.`);
  } finally {
    await played.stop();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      source: { type: 'string', default: ROOT },
      force: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) console.log(HELP);
  else {
    const source = path.resolve(values.source);
    const { version } = JSON.parse(await readFile(path.join(source, 'package.json'), 'utf8'));
    const folder = path.join(GOLDEN_DIR, version, 'sandbox');
    try {
      const files = await writeGolden({ folder, source, force: values.force });
      await promisify(execFile)(path.join(ROOT, 'node_modules', '.bin', 'biome'), [
        'format',
        '--write',
        folder,
      ]);
      console.log(`${files.length} files in ${path.relative(process.cwd(), folder)}`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
      process.exitCode = 1;
    }
  }
}

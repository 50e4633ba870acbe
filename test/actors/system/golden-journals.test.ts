import { execFile } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { GOLDEN_DIR, writeGolden } from '../../../scripts/golden-journals.mjs';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { sandboxMachine } from '../../../src/actors/sandbox/machine.ts';
import { SandboxTransition, SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import { sandboxSteps } from '../../../src/actors/sandbox/steps/index.ts';
import { activeSteps, restore, stateName } from '../../../src/actors/system/decide.ts';
import { type ActorRecord, fileJournal } from '../../../src/actors/system/journal.ts';
import { bootId } from '../../../src/boot-id.ts';
import { problemsOf } from '../../../src/bus/schema.ts';
import { type Played, play } from '../../golden/play.ts';
import { stateOf } from '../../golden/walks.ts';
import { declaredIn } from '../checks.ts';
import { sandboxSubject } from '../subjects.ts';

t.setTimeout(300_000);

/**
 * Every journal that a released version wrote can be read today, and the sandbox goes on from it. `scripts/golden-journals.mjs`
 * wrote them, by that version's code. What today's code writes must pass, too: it is what the next version will have written.
 */
const ROOT = path.join(import.meta.dirname, '..', '..', '..');
const SCRIPT = path.join(ROOT, 'scripts', 'golden-journals.mjs');
const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
const scratch = await mkdtemp(path.join(os.tmpdir(), 'dormouse-golden-'));
t.teardown(() => rm(scratch, { recursive: true, force: true }));

type Written = ActorRecord<SandboxContext> & { revision: number; boot: string };
/** The two files of a journal, as they were written. */
type Pair = Partial<Record<'state.json' | 'state.next.json', Written>>;

/** Where the states lead when every step is done. Outer states stand for those inside that are not named. */
const ENDS: Record<string, string> = {
  creating: 'running',
  undoing: 'failed',
  capturing: 'running',
  'capturing.copyingPaused': 'paused',
  pausing: 'paused',
  'pausing.thawing': 'running',
  'pausing.thawingAgain': 'running',
  'pausing.restarting': 'running',
  resuming: 'running',
  'resuming.rollingBack': 'paused',
  restarting: 'running',
  crashed: 'crashed.resting',
  destroying: 'destroyed',
};
const HEADINGS = {
  pausing: 'paused',
  rollingBack: 'paused',
  undoing: 'failed',
  crashing: 'crashed.resting',
  destroying: 'destroyed',
};

function endOf({ value, context }: ActorRecord<SandboxContext>): string {
  const state = stateName(value);
  if (state === 'stranded') return HEADINGS[context.heading ?? 'destroying'];
  return ENDS[state] ?? ENDS[state.split('.')[0] ?? ''] ?? state;
}

/** The journals in a folder, by name. */
function journalsIn(folder: string): Map<string, Pair> {
  const names = new Set(readdirSync(folder).map((file) => file.replace(/(\.next)?\.json$/, '')));
  const read = (file: string): Written | undefined =>
    existsSync(path.join(folder, file))
      ? JSON.parse(readFileSync(path.join(folder, file), 'utf8'))
      : undefined;
  return new Map(
    [...names].sort().map((name) => {
      const [durable, next] = [read(`${name}.json`), read(`${name}.next.json`)];
      return [name, { ...(durable && { 'state.json': durable }), ...(next && { 'state.next.json': next }) }];
    }),
  );
}

let folders = 0;
/** Puts a journal where an actor finds it, as if it were written in `boot`. */
async function put(pair: Pair, boot: string): Promise<string> {
  folders += 1;
  const dir = path.join(scratch, String(folders));
  await mkdir(dir);
  for (const [file, record] of Object.entries(pair))
    await writeFile(path.join(dir, file), JSON.stringify({ ...record, boot }));
  return dir;
}
const load = async (dir: string): Promise<ActorRecord<SandboxContext> | undefined> =>
  (await fileJournal(path.join(dir, 'state.json')).load()) as ActorRecord<SandboxContext> | undefined;

/** Lets every step succeed and every timer of a stranded sandbox fire, until nothing is under way. */
async function goOn({ actor, go }: Played): Promise<void> {
  const isOver = (): boolean => actor.isDone || (actor.hasTag('rest') && actor.state !== 'stranded');
  for (let turn = 0; turn < 20 && !isOver(); turn += 1)
    await go(actor.state === 'stranded' ? { kind: 'later', ms: 120_000 } : { kind: 'ok' });
}

/** Everything that must hold of one journal. */
async function check(t: Test, name: string, pair: Pair): Promise<void> {
  const boot = await bootId();
  const { 'state.json': durable, 'state.next.json': next } = pair;
  const newest = [durable, next]
    .filter((one) => one !== undefined)
    .sort((a, b) => b.revision - a.revision)[0];
  if (!newest) throw new Error(`${name} has no file`);

  const record = await load(await put(pair, boot));
  if (!record) throw new Error(`${name} is not loaded`);
  t.equal(record.seq, newest.seq, 'the newer of the two files counts');
  t.equal(stateName(record.value), stateOf(name));
  t.same(await load(await put({ 'state.json': newest }, boot)), record, 'it is the same in the durable file');
  const afterPowerCut = await load(await put(pair, 'another'));
  t.equal(afterPowerCut?.seq, durable?.seq, 'after a power cut the durable one counts');

  const snapshot = restore(sandboxMachine, record.value, record.context);
  const steps = sandboxSteps({ guestTimeoutMs: 1 } as never);
  for (const { step } of activeSteps(snapshot)) t.hasProp(steps, step, `${step} is there`);

  const played = await play({ dir: await put(pair, boot), startMs: record.enteredAtMs + 100 });
  const { actor, events } = played;
  t.same(
    { ...actor.record, outbox: record.outbox },
    record,
    'an actor that starts changes nothing else of it',
  );
  t.same(
    played.steps,
    activeSteps(snapshot).map(({ step }) => step),
    'its step is begun again',
  );
  t.same(problemsOf(SandboxView, actor.view()), [], 'it is shown');
  for (const { commandId, reply } of record.replies) {
    const context = { commandId, deadlineMs: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal };
    const again = await Promise.resolve(actor.outcome(context)).catch((error) => error.toRecord());
    t.match(again, reply.ok ? reply.value : { code: reply.error.code }, `${commandId} is answered as before`);
  }

  await goOn(played);
  t.equal(actor.state, endOf(record), 'it goes on to where it was heading');
  t.equal(actor.context.command, null, 'no command is open');
  t.equal(actor.context.secret, record.context.secret, 'it is the same sandbox');
  if (!actor.isDone) {
    await played.go({ kind: 'command', name: 'destroy', body: {} });
    await played.go({ kind: 'ok' });
  }
  t.match(actor.state, /^(destroyed|failed)$/);
  t.same(actor.record.ledger, [], 'and nothing is left');
  await played.stop();
  const waiting = record.outbox as SandboxTransition[];
  t.same(events.slice(0, waiting.length), waiting, 'events that waited are published first');
  const seqs = events.map(({ seq }) => seq);
  const first = waiting[0]?.seq ?? record.seq + 1;
  t.same(
    seqs,
    seqs.map((_, index) => first + index),
    'none is left out',
  );
  t.equal(seqs.at(-1) ?? record.seq, actor.record.seq, 'up to the last');
  t.same(
    events.flatMap((event) => problemsOf(SandboxTransition, event)),
    [],
  );
}

const today = path.join(scratch, 'today');
/** Why not all of them could be written: what was released is tried all the same. */
const failure: unknown = await writeGolden({ folder: today }).then(
  () => undefined,
  (error: unknown) => error,
);
const versions = readdirSync(GOLDEN_DIR);
const sources = [
  ...versions.map((name) => ({ by: `version ${name}`, folder: path.join(GOLDEN_DIR, name, 'sandbox') })),
  { by: 'the code of today', folder: today },
];

for (const { by, folder } of sources) {
  t.test(`journals written by ${by} are read, and the sandbox goes on`, async (t) => {
    const journals = journalsIn(folder);
    t.ok(journals.size > 0);
    for (const [name, pair] of journals) await t.test(name, (t) => check(t, name, pair));
  });

  t.test(`journals written by ${by}: what is in them`, async (t) => {
    const records = [...journalsIn(folder).values()].flatMap((pair) => Object.values(pair));
    const has = (what: string, test: (record: Written) => boolean): boolean => t.ok(records.some(test), what);
    has('a time limit', ({ timers }) => (timers.expired?.atMs ?? Number.MAX_SAFE_INTEGER) < 1e15);
    has('a time limit far away', ({ timers }) => timers.expired?.atMs === Number.MAX_SAFE_INTEGER);
    has('a back-off', ({ timers }) => Object.keys(timers).some((timer) => timer.includes('backOff')));
    has('events in the outbox', ({ outbox }) => outbox.length > 1);
    has('an answer', ({ replies }) => replies.some(({ reply }) => reply.ok));
    has('an answer that is an error', ({ replies }) => replies.some(({ reply }) => !reply.ok));
    has('a command under way', ({ context }) => context.command !== null);
    has('a failure under way', ({ context }) => context.failure !== null);
    has('the failure of the last operation', ({ context }) => context.lastError !== null);
    for (const kind of ['live', 'disk', 'slot', 'vmm', 'snapshot'])
      has(`${kind} in the ledger`, ({ ledger }) => ledger.some((entry) => entry.kind === kind));
  });

  t.test(`journals written by ${by}: a time that passes goes on from where it was`, async (t) => {
    const limited = [...journalsIn(folder)].filter(
      ([name, { 'state.json': record }]) =>
        stateOf(name) === 'running' && (record?.context.expiresAtMs ?? null) !== null,
    );
    t.ok(limited.length > 0);
    for (const [name, pair] of limited) {
      const { enteredAtMs, context } = pair['state.json'] as Written;
      const played = await play({ dir: await put(pair, await bootId()), startMs: enteredAtMs });
      await played.advance((context.expiresAtMs ?? 0) - enteredAtMs - 1);
      t.equal(played.actor.state, 'running', name);
      await played.go({ kind: 'later', ms: 1 });
      t.equal(played.actor.state, 'pausing.draining', name);
      await played.stop();
    }
  });
}

t.test('the version of package.json has journals', async (t) => {
  t.ok(
    versions.includes(version),
    `test/golden/journals/${version} is there; if not: node_modules/.bin/node scripts/golden-journals.mjs`,
  );
  t.same(
    versions.filter(
      (name) => globSync('*.json', { cwd: path.join(GOLDEN_DIR, name, 'sandbox') }).length === 0,
    ),
    [],
  );
});

t.test('there is a way to every state of the machine', async (t) => {
  t.equal(failure, undefined, 'every walk in test/golden/walks.ts leads where its name says');
  const seen = new Set([...journalsIn(today).keys()].map(stateOf));
  const missing = declaredIn({ subject: sandboxSubject }).states.filter((state) => !seen.has(state));
  t.same(missing, [], 'test/golden/walks.ts has a walk to each');
});

t.test('what is there is not written over', async (t) => {
  const before = readdirSync(today);
  await t.rejects(
    writeGolden({ folder: today }),
    /is there already, and a journal that was released never changes/,
  );
  t.same(readdirSync(today), before);
  await t.rejects(promisify(execFile)(process.execPath, [SCRIPT]), { code: 1, stderr: /is there already/ });
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '--help']);
  t.match(stdout, /--force +writes over journals that are there\. That is almost never right: /);
});

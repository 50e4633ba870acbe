import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { tracesLeft } from '../support/dormouse.ts';
import { type AtRest, comeToRest, keptWrites, leaking, onTheMachine } from './check.ts';
import { type Counts, countNow, grown, slotsOf } from './counts.ts';
import { Faults } from './faults.ts';
import type { Known } from './known.ts';
import { Load } from './load.ts';
import { Random } from './random.ts';
import { Server } from './server.ts';

const HELP = `Usage: npm run soak -- --minutes N [options]

Runs a Dormouse of its own with real virtual machines, sends it random commands,
kills and stops parts of it, and checks after each minute of that, when everything
has come to rest, that nothing was lost and nothing is left. Prints one line for
each minute, and exits with status 1 when anything was wrong.

  --minutes N   minutes of load (default 10)
  --seed S      seed of the choices (default: a new one; it is printed). When they
                happen depends on the machine, so a run is not repeated exactly.
  --no-faults   commands only
  --help        print this

Commands: create, exec, pause, resume, restart, ping, destroy, some at once on
one sandbox. Faults: SIGKILL of the server, of nats-server and of virtual machines,
SIGSTOP and SIGCONT of all of them, a restart of PostgreSQL.
Checked: one virtual machine for each sandbox that runs, and no other; one of live/
and snapshot/; \`host leaks\` empty; states that were answered; writes that were answered
are there, on disk and in memory, when what is paused was resumed and what crashed was
restarted; counts of processes, file descriptors, namespaces, mounts
and loop devices as after the first minute, with everything paused.

Needs root. On a machine with two processors a minute of load and its checks take
some two minutes.`;

const MINUTE_MS = 60_000;
/** How long counts may take to fall, in milliseconds: connections are kept open for a while, slots removed later. */
const FALL_LIMIT_MS = 20_000;

function settings() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string' },
      'no-faults': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const whole = (name: 'minutes' | 'seed', text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < (name === 'minutes' ? 1 : 0))
      throw new RangeError(`--${name} takes a whole number, not "${text}"`);
    return value;
  };
  return {
    minutes: whole('minutes', values.minutes),
    seed: values.seed === undefined ? randomInt(2 ** 31) : whole('seed', values.seed),
    faults: !values['no-faults'],
    help: values.help,
  };
}

/** The checks of one minute: everything has to come to rest first, and is paused for the counts at the end. */
async function check(
  server: Server,
  load: Load,
  first: Counts | undefined,
): Promise<{ wrong: string[]; views: AtRest; counts: Counts }> {
  const { views, wrong } = await comeToRest(server, load);
  wrong.push(...(await onTheMachine(server, views)));
  wrong.push(...(await leaking(server)));
  for (const [known, { state }] of views) wrong.push(...(await keepsItsWord(server, known, state)));
  let counts = await countNow(server);
  for (const end = Date.now() + FALL_LIMIT_MS; Date.now() < end; await sleep(500)) {
    counts = await countNow(server);
    if (first ? grown(first, counts).length === 0 : counts.namespaces <= 2) break;
  }
  if (first) wrong.push(...grown(first, counts));
  return { wrong, views, counts };
}

/** Lets a sandbox that rests run, looks for what it was told to keep, and pauses it. */
async function keepsItsWord(server: Server, known: Known, state: string): Promise<string[]> {
  const { id } = known;
  const failed = (what: string, answer: { body: unknown } | undefined): string[] => [
    `${id}, ${state} and at rest, cannot be ${what}: ${JSON.stringify(answer?.body)}`,
  ];
  known.disturb();
  if (state !== 'running') {
    const command = state === 'paused' ? 'resume' : 'restart';
    if (command === 'restart') known.memoryLost = true;
    const answer = await server.ask('POST', `/sandboxes/${id}/${command}`);
    if (answer?.status !== 200) return failed(`${command}d`, answer);
  }
  const wrong = await keptWrites(server, known);
  const answer = await server.ask('POST', `/sandboxes/${id}/pause`);
  return answer?.status === 200 ? wrong : [...wrong, ...failed('paused', answer)];
}

/** Destroys everything, stops the server, and says what is left. */
async function end(server: Server, load: Load): Promise<string[]> {
  const wrong: string[] = [];
  for (const known of load.known) {
    const destroyed = await server.ask('DELETE', `/sandboxes/${known.id}`);
    if (destroyed?.status !== 200)
      wrong.push(`${known.id} cannot be destroyed: ${JSON.stringify(destroyed?.body)}`);
  }
  wrong.push(...(await leaking(server)));
  await server.stop();
  wrong.push(...(await tracesLeft(server.dataDir)).map((line) => `left: ${line}`));
  wrong.push(...slotsOf(server).map((name) => `left: namespace ${name}`));
  return wrong;
}

function line(
  minute: number,
  load: Load,
  faults: Faults,
  { views, counts, wrong }: Awaited<ReturnType<typeof check>>,
): string {
  const states = new Map<string, number>();
  for (const { state } of views.values()) states.set(state, (states.get(state) ?? 0) + 1);
  const sum = (of: (known: Known) => number): number =>
    [...views.keys()].reduce((total, known) => total + of(known), 0);
  const list = (numbers: ReadonlyMap<string, number>): string =>
    [...numbers].map(([name, number]) => `${name} ${number}`).join(', ') || 'none';
  const line = [
    `minute ${minute}: ${wrong.length === 0 ? 'ok' : `${wrong.length} WRONG`}`,
    list(load.counts),
    `faults: ${list(faults.counts)}`,
    `at rest: ${list(states)}`,
    `writes kept: ${sum(({ onDisk }) => onDisk.size)} on disk, ${sum(({ inMemory }) => inMemory.size)} in memory`,
    `counts: ${Object.entries(counts)
      .map(([name, number]) => `${name} ${number}`)
      .join(', ')}`,
  ].join(' | ');
  load.counts.clear();
  faults.counts.clear();
  return [line, ...wrong.map((one) => `  WRONG ${one}`)].join('\n');
}

async function soak({ minutes, seed, faults: withFaults }: ReturnType<typeof settings>): Promise<boolean> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => interrupted.abort(new Error(`interrupted by ${name}`)));
  const { signal } = interrupted;
  console.log(`soak: seed ${seed}, ${minutes} minutes of load`);
  const server = await Server.start();
  const random = new Random(seed);
  const load = new Load(server, random);
  // A sequence of its own: how many commands a minute has depends on the machine.
  const faults = new Faults(server, load, new Random(seed + 1));
  const wrong: string[] = [];
  let first: Counts | undefined;
  try {
    for (let minute = 1; minute <= minutes && !signal.aborted; minute += 1) {
      load.start();
      if (withFaults) faults.start();
      await sleep(MINUTE_MS, undefined, { signal }).catch(() => {});
      await faults.stop();
      await load.stop();
      const checked = await check(server, load, first);
      first ??= checked.counts;
      console.log(line(minute, load, faults, checked));
      wrong.push(...checked.wrong);
    }
    wrong.push(...told(await end(server, load)));
  } catch (error) {
    wrong.push(...told([error instanceof Error ? error.message : String(error)]));
    load.end();
  }
  await server.end();
  if (wrong.length === 0) await server.remove();
  else console.log(`soak: the data directory is kept to be looked at: ${server.dataDir}`);
  console.log(`soak: ${wrong.length === 0 ? 'all held' : `${wrong.length} did not hold`} (seed ${seed})`);
  return wrong.length === 0;
}

function told(wrong: string[]): string[] {
  for (const one of wrong) console.log(`  WRONG ${one}`);
  return wrong;
}

try {
  const given = settings();
  if (given.help) console.log(HELP);
  else if (!(await soak(given))) process.exitCode = 1;
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { dormouse, type View } from '../support/dormouse.ts';
import type { Known } from './known.ts';
import type { Load } from './load.ts';
import type { Server } from './server.ts';

/** What must hold when the load has stopped and no fault is under way. Each function returns what does not, for a person. */

/** How long everything may take to come to rest, in milliseconds: an undo is tried again a minute later at most. */
const REST_LIMIT_MS = 150_000;
/** How long leaks may take to be cleared: some passes of the janitor. */
const CLEAR_LIMIT_MS = 30_000;
const POLL_MS = 200;

export type AtRest = Map<Known, View>;

/** Waits until every sandbox rests, and says which do not, and which are not what they were promised to be. */
export async function comeToRest(server: Server, load: Load): Promise<{ views: AtRest; wrong: string[] }> {
  const views: AtRest = new Map();
  const wrong: string[] = [];
  if (load.unanswered > 0) wrong.push(`${load.unanswered} creates have no answer`);
  for (const known of load.known) {
    const view = await settled(server, known);
    if (typeof view === 'string') wrong.push(`${known.id} ${view}`);
    else if (!view) {
      if (known.destroyed === 'no') wrong.push(`${known.id} is gone, and nobody destroyed it`);
      load.forget(known);
    } else {
      wrong.push(...unexpected(known, view));
      views.set(known, view);
    }
  }
  return { views, wrong };
}

/** As `rested`, and from then on its time does not run out. */
async function settled(server: Server, known: Known): Promise<View | string | undefined> {
  for (;;) {
    const view = await rested(server, known.id);
    if (typeof view === 'string' || view?.state !== 'running' || !known.hasTimeout) return view;
    const ping = await server.ask('POST', `/sandboxes/${known.id}/ping`, { timeout_s: 0 });
    if (ping?.status !== 200) continue;
    known.hasTimeout = false;
    return view;
  }
}

/** Undefined when it is gone. What is wrong, when it does not come to rest. */
async function rested(server: Server, id: string): Promise<View | string | undefined> {
  let last = 'never answered';
  for (const end = Date.now() + REST_LIMIT_MS; Date.now() < end; await sleep(POLL_MS)) {
    const answer = await server.ask<View>('GET', `/sandboxes/${id}`);
    if (answer?.status === 404) return undefined;
    if (answer?.status !== 200) {
      last = `answers ${answer?.status ?? 'nothing'}: ${JSON.stringify(answer?.body)}`;
      continue;
    }
    const { state, step } = answer.body;
    if (state === 'destroyed' || state === 'failed') return undefined;
    if (step === null && /^(running|paused|crashed)$/.test(state)) return answer.body;
    last = `stays ${state}.${step}: ${JSON.stringify(answer.body.last_error)}`;
  }
  return last;
}

function unexpected(known: Known, { state, last_error }: View): string[] {
  const { id, expected, destroyed } = known;
  if (destroyed === 'yes') return [`${id} was destroyed, and is ${state}`];
  // A destroy that was not answered may have been refused.
  known.destroyed = 'no';
  if (state === 'crashed' && !known.mayHaveCrashed && !known.memoryLost)
    return [`${id} crashed, and nobody killed it: ${JSON.stringify(last_error)}`];
  if (expected === undefined || state === expected) return [];
  if (known.hasTimeout && expected === 'running' && state === 'paused') return [];
  if (known.mayHaveCrashed && expected === 'running' && state === 'crashed') return [];
  return [`${id} was answered to be ${expected}, and is ${state}`];
}

/** One virtual machine for each that runs, and no other. One of live/ and snapshot/ for each. */
export async function onTheMachine(server: Server, views: AtRest): Promise<string[]> {
  const wrong: string[] = [];
  const machines = server.machines();
  for (const [{ id }, { state }] of views) {
    const pids = machines.get(id) ?? [];
    machines.delete(id);
    if (pids.length !== (state === 'running' ? 1 : 0))
      wrong.push(`${id} is ${state} and has ${pids.length} virtual machines`);
    const folders = (await readdir(server.folder(id)).catch((): string[] => [])).filter((name) =>
      /^(live|snapshot)$/.test(name),
    );
    if (folders.join() !== (state === 'paused' ? 'snapshot' : 'live'))
      wrong.push(`${id} is ${state} and has the folders ${folders.join(' and ') || '(none)'}`);
  }
  for (const [id, pids] of machines) wrong.push(`${id} is nobody's and has ${pids.length} virtual machines`);
  return wrong;
}

/** `dormouse host leaks`, after the janitor had its time. */
export async function leaking(server: Server): Promise<string[]> {
  let leaks: Array<{ kind: string; name: string; detail: string }> = [];
  for (const end = Date.now() + CLEAR_LIMIT_MS; Date.now() < end; await sleep(1_000)) {
    const ended = await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: server.dataDir });
    try {
      ({ leaks } = JSON.parse(ended.stdout));
    } catch {
      leaks = [{ kind: 'host leaks', name: `exit status ${ended.exitCode}`, detail: ended.stderr.trim() }];
    }
    if (leaks.length === 0) return [];
  }
  return leaks.map(({ kind, name, detail }) => `leak: ${kind} ${name}: ${detail}`);
}

/** Every write that was answered is there: on the disk, and in memory unless the virtual machine was killed or booted anew. */
export async function keptWrites(server: Server, known: Known): Promise<string[]> {
  const answer = await server.ask<{ exit_code: number; stdout: string }>(
    'POST',
    `/sandboxes/${known.id}/exec`,
    {
      cmd: 'cat /acks; echo memory; cat /tmp/acks; true',
    },
  );
  if (answer?.status !== 200)
    return [`${known.id} runs and does not answer: ${JSON.stringify(answer?.body)}`];
  const [disk = '', memory = ''] = answer.body.stdout.split('memory\n');
  const wrong: string[] = [];
  const lostOnDisk = missing(known.onDisk, disk);
  if (lostOnDisk.length > 0) wrong.push(`${known.id} has lost writes to its disk: ${lostOnDisk.join(' ')}`);
  const lostInMemory = missing(known.inMemory, memory);
  if (lostInMemory.length > 0 && !known.memoryLost)
    wrong.push(`${known.id} has lost writes to its memory: ${lostInMemory.join(' ')}`);
  // From here on what is missing is known to be, and nothing has been done to the machine.
  for (const line of [...lostOnDisk, ...lostInMemory]) {
    known.onDisk.delete(line);
    known.inMemory.delete(line);
  }
  known.memoryLost = false;
  known.mayHaveCrashed = false;
  return wrong;
}

function missing(promised: ReadonlySet<number>, text: string): number[] {
  const there = new Set(text.split('\n').map(Number));
  return [...promised].filter((line) => !there.has(line));
}

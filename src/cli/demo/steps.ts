import { randomUUID } from 'node:crypto';
import type { ExecReply, SandboxView } from '../../actors/sandbox/protocol.ts';
import type { Client } from '../client.ts';
import { hasProblemCode } from '../problem.ts';
import { monitorsOf } from './monitors.ts';

/** One step of the demo. `play` does it, checks what came out, and returns a line about it; it throws when a check fails. */
export interface DemoStep {
  name: string;
  play(): Promise<string>;
}

/** What the demo's steps leave for one another. */
export interface DemoLife {
  client: Client;
  /** Whether the server's processes can be seen from here. */
  isLocal: boolean;
  /** Id of the sandbox, from its creation to its destruction. */
  id: string | undefined;
}

const DISK_FILE = '/root/dormouse-demo';
const RAM_FOLDER = '/run/dormouse-demo';
const COUNT_FILE = `${RAM_FOLDER}/count`;
/** Longest time that the counter has to count one further, in seconds. */
const COUNT_TIMEOUT_S = 30;

/**
 * The counter writes to another name first, so that nobody reads an empty file. It leaves the exec's session and streams,
 * so that the exec ends while it runs on.
 */
const COUNTER = `n=0; while :; do n=$((n + 1)); echo $n > ${COUNT_FILE}.new; mv ${COUNT_FILE}.new ${COUNT_FILE}; sleep 0.1; done`;

/** Waits until the count is greater than the one given, and prints it. */
const NEXT_COUNT = `until n=$(cat ${COUNT_FILE} 2>/dev/null) && [ "$n" -gt "$1" ]; do sleep 0.05; done; echo $n`;

/** A sandbox's whole life: made, used, paused, resumed with all that it had, destroyed. */
export function demoSteps(life: DemoLife): DemoStep[] {
  const secret = randomUUID();
  let countBefore = 0;
  let counterPid = '';
  let monitorsBefore = 0;

  return [
    {
      name: 'create',
      async play() {
        const view = await life.client.create({ metadata: { purpose: 'demo' } });
        life.id = view.id;
        expect(view.state === 'running', `the sandbox is ${view.state}`);
        return `${view.id} runs on ${view.host_id}`;
      },
    },
    {
      name: 'exec',
      async play() {
        const name = await run(life, ['uname', '-a']);
        expect(name.includes('Linux'), `uname says ${name}`);
        return `uname -a: ${name}`;
      },
    },
    {
      name: 'write to disk',
      async play() {
        await run(life, ['sh', '-c', 'echo "$1" > "$2" && sync', 'sh', secret, DISK_FILE]);
        return DISK_FILE;
      },
    },
    {
      name: 'write to memory',
      async play() {
        await run(life, ['sh', '-c', 'mkdir -p "$1" && mount -t tmpfs demo "$1"', 'sh', RAM_FOLDER]);
        await run(life, ['sh', '-c', 'echo "$1" > "$2/file"', 'sh', secret, RAM_FOLDER]);
        const mounted = await run(life, ['grep', '-c', ` ${RAM_FOLDER} tmpfs `, '/proc/mounts']);
        expect(mounted === '1', 'the file is not on a tmpfs');
        return `${RAM_FOLDER}/file, on a tmpfs`;
      },
    },
    {
      name: 'start a counter',
      async play() {
        counterPid = await run(life, [
          'sh',
          '-c',
          'setsid sh -c "$1" </dev/null >/dev/null 2>&1 & echo $!',
          'sh',
          COUNTER,
        ]);
        countBefore = await nextCount(life, 2);
        if (life.isLocal) monitorsBefore = (await monitorsOf(idOf(life))).length;
        return `process ${counterPid} has counted to ${countBefore}`;
      },
    },
    {
      name: 'pause',
      async play() {
        const view = await life.client.command(idOf(life), 'pause');
        expect(view.state === 'paused', `the sandbox is ${view.state}`);
        if (monitorsBefore === 0) return 'state paused';
        const left = await monitorsOf(idOf(life));
        expect(left.length === 0, `process ${left.join(', ')} of the virtual machine is still there`);
        return 'state paused, no process of the virtual machine is left';
      },
    },
    {
      name: 'resume',
      async play() {
        const view = await life.client.command(idOf(life), 'resume');
        expect(view.state === 'running', `the sandbox is ${view.state}`);
        return `running again, run ${view.execution}`;
      },
    },
    {
      name: 'read from disk',
      async play() {
        expect((await run(life, ['cat', DISK_FILE])) === secret, 'the file on the disk has changed');
        return 'the file is the same';
      },
    },
    {
      name: 'read from memory',
      async play() {
        expect((await run(life, ['cat', `${RAM_FOLDER}/file`])) === secret, 'the file in memory has changed');
        return 'the file is the same';
      },
    },
    {
      name: 'the counter goes on',
      async play() {
        const first = await nextCount(life, 0);
        expect(first >= countBefore, `it stood at ${countBefore} before and at ${first} now`);
        const later = await nextCount(life, first);
        await run(life, ['test', '-d', `/proc/${counterPid}`]);
        return `process ${counterPid}: ${countBefore} before, ${first} after, then ${later}`;
      },
    },
    {
      name: 'destroy',
      async play() {
        const id = idOf(life);
        await life.client.destroy(id);
        life.id = undefined;
        const view = await life.client.get(id).catch((error: unknown) => {
          if (hasProblemCode(error, 'SANDBOX_NOT_FOUND')) return undefined;
          throw error;
        });
        expect(isGone(view), `the sandbox is ${view?.state}`);
        if (life.isLocal) expect((await monitorsOf(id)).length === 0, 'its virtual machine is still there');
        return 'nothing is left of it';
      },
    },
  ];
}

/** The read model follows a moment behind, so a sandbox that is being destroyed was destroyed for whoever asks. */
function isGone(view: SandboxView | undefined): boolean {
  return view === undefined || view.state === 'destroyed' || view.state === 'destroying';
}

function idOf(life: DemoLife): string {
  if (life.id === undefined) throw new Error('there is no sandbox');
  return life.id;
}

/** Runs a program that must succeed, and returns what it prints, without the last end of line. */
async function run(life: DemoLife, argv: string[]): Promise<string> {
  const reply = await life.client.exec(idOf(life), { argv, timeout_s: COUNT_TIMEOUT_S });
  expect(reply.exit_code === 0, `${argv[0]} ended with ${howItEnded(reply)}: ${reply.stderr.trim()}`);
  return reply.stdout.trimEnd();
}

async function nextCount(life: DemoLife, after: number): Promise<number> {
  return Number(await run(life, ['sh', '-c', NEXT_COUNT, 'sh', String(after)]));
}

function howItEnded(reply: ExecReply): string {
  if (reply.timed_out) return 'a timeout';
  return reply.signal ?? `status ${reply.exit_code}`;
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

import type { SandboxContext, SandboxInput } from '../../src/actors/sandbox/context.ts';
import { sandboxMachine } from '../../src/actors/sandbox/machine.ts';
import { sandboxInspection } from '../../src/actors/sandbox/moment.ts';
import { sandboxStepNames } from '../../src/actors/sandbox/steps/names.ts';
import { Actor } from '../../src/actors/system/actor.ts';
import { takenBy } from '../../src/actors/system/inspect.ts';
import { volatileJournal } from '../../src/actors/system/journal.ts';
import type { Step } from '../../src/actors/system/step.ts';
import { BusInspector } from '../../src/bus/inspector.ts';
import { watchSubject } from '../../src/bus/subjects.ts';
import type { Bus } from '../../src/bus/types.ts';
import { systemClock } from '../../src/clock.ts';
import { newCommandId, newSandboxId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';

/** A sandbox actor in memory that pauses and resumes, with steps that do nothing. */

export const WAYS = ['no inspector', 'nobody looks', 'somebody looks'] as const;
export type Way = (typeof WAYS)[number];

const log = createLogger('bench', 'silent');
const COMMANDS = ['pause', 'resume', 'restart', 'destroy'];

/** Steps that succeed at once, apart from the watch of a machine, which lasts. */
const steps: Record<string, Step<SandboxContext, unknown>> = Object.fromEntries(
  sandboxStepNames.map((name) => [
    name,
    {
      name,
      direction: 'forward',
      timeoutMs: Number.POSITIVE_INFINITY,
      run: (_, { signal }) =>
        name === 'watchVm' || name === 'flushSnapshot'
          ? new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          : Promise.resolve({}),
    },
  ]),
);

/** A bus that takes what is published and knows who looks: what a client's library does is not measured. */
function countingBus(): {
  bus: Pick<Bus, 'publish' | 'subscribe'>;
  published(): number;
  look(subject: string): void;
} {
  let published = 0;
  let heard: (payload: Uint8Array, subject: string) => void = () => {};
  return {
    bus: {
      publish() {
        published += 1;
      },
      subscribe(subject, onMessage) {
        if (subject.includes('.sandbox.')) heard = onMessage;
        return { close: () => {} };
      },
    },
    published: () => published,
    look: (subject) => heard(new Uint8Array(), subject),
  };
}

/**
 * Lets an actor make at least so many transitions.
 *
 * @returns processor time of each, in microseconds, and how many inspections were published
 */
export async function walk(
  way: Way,
  teamId: string,
  transitions: number,
): Promise<{ microseconds: number; published: number }> {
  const id = newSandboxId();
  const target = { kind: 'sandbox', teamId, id } as const;
  const { bus, published, look } = countingBus();
  const inspector = new BusInspector(bus, { clock: systemClock, log });
  inspector.listen('h-bench');
  const actor = await Actor.start<SandboxContext>(
    {
      ...{ kind: 'sandbox', id, machine: sandboxMachine, steps, journal: volatileJournal },
      ...{ ports: { clock: systemClock, log }, mailboxSize: 64, commands: COMMANDS, whenBusy: 'refuse' },
      view: () => undefined,
      ...(way !== 'no inspector' && {
        inspected: (occurrence) =>
          inspector.happened(target, () =>
            sandboxInspection(occurrence, takenBy(occurrence.transition.snapshot, COMMANDS)),
          ),
      }),
    },
    inputOf(id, teamId),
  );
  const { signal } = new AbortController();
  await actor.until(() => actor.state === 'running', signal);
  const first = actor.record.seq;
  if (way === 'somebody looks') look(watchSubject(target));
  const before = process.cpuUsage();
  for (
    let verb = 'pause';
    actor.record.seq - first < transitions;
    verb = verb === 'pause' ? 'resume' : 'pause'
  )
    await actor.ask(
      verb,
      {},
      { commandId: newCommandId(), deadlineMs: systemClock.nowMs() + 60_000, signal },
    );
  const { user, system } = process.cpuUsage(before);
  const made = actor.record.seq - first;
  await actor.stop();
  return { microseconds: (user + system) / made, published: published() };
}

function inputOf(id: string, teamId: string): SandboxInput {
  return {
    ...{ id, teamId, hostId: 'h-bench', createdAtMs: 0, mac: '02:64:00:00:00:01', machineId: '', secret: '' },
    options: {
      ...{ template: 'minimal', vcpus: 1, memory_mb: 256, disk_size_mb: 1024 },
      ...{ timeout_s: 0, on_timeout: 'pause', auto_resume: false, metadata: {} },
    },
    source: { kind: 'image', imagePath: '/image' },
    kernel: { kernelPath: '/kernel', initrdPath: '/initrd' },
    command: { id: 'create', name: 'create', deadlineMs: systemClock.nowMs() + 60_000 },
  };
}

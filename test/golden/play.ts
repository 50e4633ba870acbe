import path from 'node:path';
import { actorOptions } from '../../scripts/docs/actor-options.mjs';
import type { LedgerKind, SandboxContext, SandboxInput } from '../../src/actors/sandbox/context.ts';
import type { SandboxTransition } from '../../src/actors/sandbox/protocol.ts';
import type { Actor } from '../../src/actors/system/actor.ts';
import type { StepEnvironment } from '../../src/actors/system/step.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { settled } from '../support/gate.ts';
import { quiet } from '../support/quiet.ts';

/**
 * A sandbox's actor with its real machine, journal, ledger and outbox, whose steps end as a test says and do nothing. Time
 * stands still unless it is moved, so the journal that is written is the same each time.
 */
export const SANDBOX_ID = 'sb-aaaaaaaaaaaaaaaaaaaa';
const ROOT = path.join(import.meta.dirname, '..', '..');

export type Move =
  /** The step is done. */
  | { kind: 'ok' }
  /** The step fails; an undo that releases several resources has released these before. */
  | { kind: 'fail'; code: string; released: readonly string[] }
  | { kind: 'command'; name: string; body: object }
  /** Time passes until a timer has fired. */
  | { kind: 'later'; ms: number };

export interface PlayOptions {
  /** Checkout whose code is played. */
  source?: string;
  /** Folder of the journal. */
  dir: string;
  /** For a sandbox that is not in the journal yet. */
  input?: SandboxInput;
  startMs: number;
}

const RUN_DIR = `/var/lib/dormouse/store/sandboxes/${SANDBOX_ID}`;
const slot = {
  number: 3,
  namespace: 'dm-slot-3',
  namespacePath: '/run/netns/dm-slot-3',
  tap: 'tap0',
  address: '10.200.0.3',
};
const vm = { sandboxId: SANDBOX_ID, runDir: `${RUN_DIR}/run`, pid: 4711, startTicks: '123456' };
const diskPath = `${RUN_DIR}/live/rootfs.ext4`;

/** What the steps report when they are done; others report nothing. */
const outputs: Record<string, object> = {
  makeDisk: { diskPath },
  attachDisk: { diskPath },
  detachDisk: { diskPath: null },
  acquireSlot: { slot },
  releaseSlot: { slot: null },
  launchVm: { vm },
  restoreVm: { vm },
  bootVm: { vm },
  relaunchVm: { vm, diskPath },
  stopVm: { vm: null },
  watchVm: { reason: 'guest-panic', detail: 'Kernel panic - not syncing' },
  releaseAll: { vm: null, slot: null, diskPath: null },
  rollBackResume: { vm: null, slot: null, diskPath: null },
  clearWreck: { vm: null, slot: null, diskPath: null },
};
/** What the steps that release several resources release. */
const releases: Record<string, readonly string[]> = {
  releaseAll: ['live', 'disk', 'slot', 'vmm', 'snapshot'],
  rollBackResume: ['live', 'disk', 'slot', 'vmm'],
  clearWreck: ['disk', 'slot', 'vmm'],
};

/** Whether a command is answered without a transition. */
const isStill = (name: string): boolean => name === 'ping' || name === 'resize';

/** How long each move takes, in milliseconds: longer than events wait for company, and within the limit of every step. */
const MOVE_MS = 700;
const PATIENCE_MS = 10_000;

interface Begun {
  name: string;
  environment: StepEnvironment<LedgerKind>;
  done(output: object): void;
  fail(error: Error): void;
}

/** An actor that is played. */
export interface Played {
  actor: Actor<SandboxContext, SandboxTransition>;
  /** Events that the stream has, in the order in which they came. */
  events: SandboxTransition[];
  /** While it is false the stream takes nothing, and events wait in the outbox. */
  stream: { isUp: boolean };
  /** Names of the steps that were begun. */
  steps: string[];
  /** Answers and errors of the commands of moves, by command id. */
  answers: Map<string, Promise<unknown>>;
  /** Lets something happen, and returns when its transition is made. */
  go(move: Move): Promise<void>;
  /** Moves the time. */
  advance(ms: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an actor, from its journal if there is one. */
export async function play({ source = ROOT, dir, input, startMs }: PlayOptions): Promise<Played> {
  const real = await actorOptions('sandbox', source);
  const load = (file: string) => import(path.join(source, 'src', file));
  const { Actor } = await load('actors/system/actor.ts');
  const { fileJournal } = await load('actors/system/journal.ts');
  const { DormouseError } = await load('errors/index.ts');
  const clock = fakeClock(startMs);
  const events: SandboxTransition[] = [];
  const steps: string[] = [];
  const stream = { isUp: true };
  let begun: Begun | undefined;

  const actor: Played['actor'] = await Actor.start(
    {
      ...real,
      id: SANDBOX_ID,
      journal: fileJournal(path.join(dir, 'state.json')),
      ports: { clock, log: quiet },
      mailboxSize: 64,
      steps: Object.fromEntries(
        Object.entries(real.steps).map(([name, step]) => [
          name,
          {
            ...step,
            run: (_: SandboxContext, environment: StepEnvironment<LedgerKind>) =>
              new Promise((done, fail) => {
                steps.push(name);
                begun = { name, environment, done, fail };
                environment.signal.addEventListener('abort', () => fail(environment.signal.reason));
              }),
          },
        ]),
      ),
      sink: {
        async append(event: SandboxTransition) {
          if (!stream.isUp) throw new DormouseError('BUS_UNAVAILABLE', 'the stream is away');
          events.push(event);
        },
      },
      transitioned: undefined,
      faulted: (error: unknown) => begun?.fail(error as Error),
    },
    input,
  );

  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turn = 0; turn < 3; turn += 1) await settled();
  };
  /** Releases, last acquired first, what the step under way may release and `wanted` names. */
  const release = async ({ name, environment }: Begun, wanted: readonly string[]): Promise<void> => {
    const held = environment.ledger.map(({ kind }) => kind).filter((kind) => releases[name]?.includes(kind));
    for (const kind of held.reverse()) if (wanted.includes(kind)) await environment.released(kind);
  };
  const answers: Played['answers'] = new Map();
  let commands = 1;

  const begin: Record<Move['kind'], (move: never) => Promise<void>> = {
    async ok() {
      const step = begun;
      if (!step) throw new Error(`${actor.state} runs no step`);
      await release(step, releases[step.name] ?? []);
      step.done(outputs[step.name] ?? {});
    },
    async fail({ code, released }: Extract<Move, { kind: 'fail' }>) {
      const step = begun;
      if (!step) throw new Error(`${actor.state} runs no step`);
      await release(step, released);
      const cause = new Error(`${step.name}: the reason underneath`);
      step.fail(
        new DormouseError(code as 'STEP_FAILED', `${step.name} did not work.`, {
          data: { step: step.name },
          cause,
        }),
      );
    },
    async command({ name, body }: Extract<Move, { kind: 'command' }>) {
      commands += 1;
      const commandId = `c-${name}-${commands}`;
      const context = {
        commandId,
        deadlineMs: clock.nowMs() + 120_000,
        signal: new AbortController().signal,
      };
      const answer = actor.ask(name, body, context);
      answer.catch(() => {});
      answers.set(commandId, answer);
      // It changes no state: its answer is all that comes of it.
      if (isStill(name)) await answer.catch(() => {});
    },
    async later({ ms }: Extract<Move, { kind: 'later' }>) {
      await advance(ms);
    },
  };

  return {
    actor,
    events,
    stream,
    steps,
    answers,
    advance,
    async go(move) {
      const { seq } = actor.record;
      await begin[move.kind](move as never);
      const isOver = move.kind === 'command' && isStill(move.name);
      await actor.until(() => isOver || actor.record.seq > seq, AbortSignal.timeout(PATIENCE_MS));
      await advance(MOVE_MS);
    },
    stop: () => actor.stop(),
  };
}

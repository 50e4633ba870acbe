import { within } from '../../clock.ts';
import { type ErrorRecord, messageOf, toDormouseError } from '../../errors/index.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { ActorPorts } from '../system/ports.ts';
import { inOrder, lookForDebris, remove } from './debris.ts';
import type { Leftovers } from './leftovers.ts';
import { compare, findForeign, journalOf, type Stray, type Thing, type Unowned } from './reconcile.ts';
import type { Sandboxes } from './sandboxes.ts';

export interface JanitorOptions {
  /** Folder of the sandboxes. */
  root: string;
  drivers: SandboxDrivers;
  sandboxes: Pick<Sandboxes, 'all' | 'keeperOf' | 'whileAbsent'>;
  /** What is left of the host's own operations. */
  leftovers: Pick<Leftovers, 'begin' | 'pass'>;
  /** Time between two passes, in milliseconds; 0 for none but the one at the start. */
  everyMs: number;
  ports: ActorPorts;
}

/** How long one removal may take, in milliseconds; then it is given up and tried again at the next pass. */
const LIMIT_MS = 15_000;

/**
 * Removes what is on the machine for nobody's sake. It takes no input: each pass compares the machine with the ledgers
 * (`reconcile.ts`), so it does not matter by what something was left. Why each removal is safe:
 *
 * - **Only what is ours** is looked at, see there. Of a sandbox whose journal cannot be read, or whose actor was left stopped,
 *   everything stays and is said once: somebody may want it back.
 * - **At the start** no actor lives and the data directory is locked, so nothing is under way (`debris.ts`).
 * - **Later, what is a sandbox's with an actor** is given back by that actor, in its own turn and only while it rests in a state
 *   that cannot need it (`Sandbox.tidy`). An operation under way is left alone, whatever it seems to have left; a command that
 *   comes meanwhile waits for its turn. Such things come from a step that was given up and acted all the same, or from one
 *   whose giving back failed while the sandbox went on; the second kind is in the ledger and needs no second look.
 * - **A second virtual machine of a sandbox** is such a thing, too, also while the sandbox runs: its ledger names the other one, by pid
 *   and start time. An operation under way may have just started it, so it must be there in two passes between operations, and
 *   is judged once more in the actor's turn (`standingOf`). Only that process is ended; the run folder is the other one's
 *   (`VmmDriver.kill`).
 * - **What is nobody's** (no actor, no journal) is removed while no sandbox of that id can be begun (`Sandboxes.whileAbsent`). A
 *   folder is there before its journal: from before its folder is made, a sandbox that is created counts as kept. The
 *   same holds for saved machines in the making, which are sandboxes, and until the folder of one that ended is gone.
 * - **Seen in two passes in a row**: what is found is only looked at again in the next pass, as the very same thing (a process with its
 *   start time, a slot with its holder). What was given back while the machine was being looked at is gone by then.
 * - **Files of a copy or a write under way** are not touched. `*.partial` lies in `live/`, which is its operation's and goes with it, or
 *   in a template's folder, which the start of a host clears; `*.tmp` of a journal is removed at the start only. `trash-…` is read by
 *   nobody: deleting it twice at once does no harm.
 * - **Captures, uploads and templates** that nobody works on are removed when they are seen: see `Leftovers`.
 * - **Devices without a table** go like others while the host runs: a ledger that names a disk keeps them, since an attach may be about
 *   to give them theirs. At the start nobody is, so there they go whatever the ledger names, and nothing else of the disk with them.
 * - **Devices of a disk that is being flattened** are told by the driver, which has them in use, from those that it could not give back.
 * - **Loops of images** are the loop registry's, which tries again by itself; **spare slots** are the network driver's.
 *
 * A stranded sandbox is left alone: it holds everything on purpose, and its own timer tries again within a minute at the
 * latest, which a push from here would make no quicker and no safer.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #stopping = new AbortController();
  #poked = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** What the last pass found. */
  #before = new Set<string>();
  /** What was said of a thing that is still there. */
  readonly #said = new Map<string, string>();

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  /**
   * Removes what an agent that died left half-made. To be called before the first actor lives. What cannot be removed is logged
   * and left to the passes.
   *
   * @returns how many things were removed, and names of what was found in our folder and is not ours
   */
  async begin(signal: AbortSignal): Promise<{ cleared: number; foreign: string[] }> {
    const { root, drivers } = this.#options;
    const foreign = await findForeign(root, drivers);
    let cleared = 0;
    for (const { things, why } of await lookForDebris(root, drivers)) {
      signal.throwIfAborted();
      cleared += await this.#removeAll(things, why, run);
    }
    // After the devices: an image that a disk stands on stays.
    cleared += await this.#options.leftovers.begin();
    return { cleared, foreign };
  }

  /** Begins the passes. The first one is due after the time between two. */
  start(): void {
    if (this.#options.everyMs > 0) this.#loop = this.#run();
  }

  /** Something may be left in a ledger: looks there at once, and at the machine when it is due. */
  poke(): void {
    this.#poked.abort();
  }

  /** Ends it. Resolves when nothing is being removed any more, or was given up. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the host stops'));
    await this.#loop;
  }

  /** Compares once and removes what was there in the last pass, too. Throws what looking throws. */
  async pass(): Promise<void> {
    const { root, drivers, sandboxes } = this.#options;
    const found = await compare(root, drivers, sandboxes);
    const again = found.filter(({ thing }) => this.#before.has(thing.key));
    this.#before = new Set(found.map(({ thing }) => thing.key));
    this.#forgetSaid(found);
    for (const one of again.filter(({ how }) => how === 'leave')) this.#sayLeft(one);
    for (const [id, list] of bySandbox(again)) {
      if (this.#stopping.signal.aborted) return;
      const keeper = sandboxes.keeperOf(id);
      if (keeper === 'under way') continue;
      const nobodys = list.filter(({ how }) => how === 'clear');
      await this.#removeAll(
        inOrder(nobodys.map(({ thing }) => thing)),
        nobodys[0]?.why ?? '',
        keeper === undefined
          ? (work) => sandboxes.whileAbsent(id, () => this.#unlessJournaled(id, work))
          : run,
      );
    }
    await this.tidy(again.filter((one) => one.how === 'tidy').map(({ thing }) => thing));
    if (!this.#stopping.signal.aborted) await this.#options.leftovers.pass();
  }

  /** Lets every sandbox give back what it does not need: what its ledger names, and these strays. */
  async tidy(strays: readonly Stray[] = []): Promise<void> {
    for (const sandbox of this.#options.sandboxes.all()) {
      if (this.#stopping.signal.aborted) return;
      const own = strays.filter(({ sandboxId }) => sandboxId === sandbox.id);
      if (own.length > 0 || sandbox.leftovers().length > 0) await this.#tidyOne(sandbox, own);
    }
  }

  async #run(): Promise<void> {
    const { ports, everyMs } = this.#options;
    const { clock, log } = ports;
    let dueMs = clock.monotonicMs() + everyMs;
    while (!this.#stopping.signal.aborted) {
      const either = AbortSignal.any([this.#stopping.signal, this.#poked.signal]);
      await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()), either).catch(() => {});
      this.#poked = new AbortController();
      if (this.#stopping.signal.aborted) return;
      const isDue = clock.monotonicMs() >= dueMs;
      await (isDue ? this.pass() : this.tidy()).catch((error: unknown) =>
        this.#say('pass', error, () =>
          log.warn({ err: messageOf(error) }, 'the machine could not be looked at'),
        ),
      );
      if (isDue) dueMs = clock.monotonicMs() + everyMs;
    }
  }

  /**
   * Removes things of one sandbox, up to the first that stays: what stands on it has to go first.
   *
   * @param exclusively runs the work while nobody else touches these things; undefined or false when that cannot be now
   * @returns how many were removed
   */
  async #removeAll(
    things: readonly Thing[],
    why: string,
    exclusively: (work: () => Promise<void>) => Promise<boolean> | undefined,
  ): Promise<number> {
    const { drivers, ports } = this.#options;
    let removed = 0;
    for (const thing of things) {
      const line = { sandbox: thing.sandboxId, level: thing.level, name: thing.name, why };
      try {
        const done = await this.#limited((signal) => exclusively(() => remove(thing, drivers, signal)));
        if (!done) return removed;
        removed += 1;
        this.#said.delete(thing.key);
        this.#before.delete(thing.key);
        ports.log.info(line, "removed what was nobody's");
      } catch (error) {
        this.#say(thing.key, error, (record) =>
          ports.log.warn(
            { ...line, err: record },
            "what is nobody's could not be removed; it is tried again",
          ),
        );
        return removed;
      }
    }
    return removed;
  }

  async #tidyOne(sandbox: Sandbox, strays: readonly Stray[]): Promise<void> {
    const { log } = this.#options.ports;
    const line = {
      sandbox: sandbox.id,
      state: sandbox.actor.state,
      ledger: sandbox.leftovers(),
      strays: strays.map(({ name }) => name),
    };
    const key = `tidy ${sandbox.id}`;
    try {
      const released = await this.#limited((signal) => sandbox.tidy(strays, signal));
      this.#said.delete(key);
      if (released && released.length > 0)
        log.info({ ...line, released }, 'gave back what the state cannot need');
    } catch (error) {
      this.#say(key, error, (record) =>
        log.warn(
          { ...line, err: record },
          'what the state cannot need could not be given back; it is tried again',
        ),
      );
    }
  }

  /** Somebody may have begun the sandbox, and left it, since the machine was looked at. */
  async #unlessJournaled(id: string, work: () => Promise<void>): Promise<boolean> {
    const journaled = await journalOf(this.#options.drivers.pathsOf(id).journal);
    return journaled === 'none' || journaled === 'ended' ? await run(work) : false;
  }

  /** Runs one removal with the limit. It is given up then, whatever it does; a stop waits for it until then. */
  async #limited<T>(work: (signal: AbortSignal) => Promise<T> | undefined): Promise<T | undefined> {
    return await within(this.#options.ports.clock, LIMIT_MS, async (limit) => {
      const givenUp = Promise.withResolvers<never>();
      limit.addEventListener('abort', () => givenUp.reject(limit.reason), { once: true });
      const done = work(AbortSignal.any([limit, this.#stopping.signal]));
      done?.catch(() => {});
      return await Promise.race([givenUp.promise, done]);
    });
  }

  #sayLeft({ thing, why }: Unowned): void {
    if (this.#said.get(thing.key) === why) return;
    this.#said.set(thing.key, why);
    this.#options.ports.log.warn(
      { sandbox: thing.sandboxId, level: thing.level, name: thing.name, why },
      'no ledger names it, and it is left alone',
    );
  }

  /** Logs a failure, unless it is the one that was logged last. */
  #say(key: string, error: unknown, log: (record: ErrorRecord) => void): void {
    if (this.#stopping.signal.aborted) return;
    const record = toDormouseError(error).toRecord();
    const text = JSON.stringify(record);
    if (this.#said.get(key) === text) return;
    this.#said.set(key, text);
    log(record);
  }

  /** What is not there any more can be said anew when it comes back. */
  #forgetSaid(found: readonly Unowned[]): void {
    const there = new Set(found.map(({ thing }) => thing.key));
    const ids = new Set(this.#options.sandboxes.all().map(({ id }) => `tidy ${id}`));
    for (const key of this.#said.keys())
      if (key !== 'pass' && !there.has(key) && !ids.has(key)) this.#said.delete(key);
  }
}

async function run(work: () => Promise<void>): Promise<boolean> {
  await work();
  return true;
}

function bySandbox(found: readonly Unowned[]): Map<string, Unowned[]> {
  const groups = new Map<string, Unowned[]>();
  for (const one of found) groups.set(one.thing.sandboxId, [...(groups.get(one.thing.sandboxId) ?? []), one]);
  return groups;
}

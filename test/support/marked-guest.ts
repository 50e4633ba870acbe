import { rm } from 'node:fs/promises';
import path from 'node:path';
import { newSandboxId } from '../../src/ids.ts';
import { type HostLab, monitorsIn, passedWhenQuiet } from './host-lab.ts';
import type { HostView } from './host-process.ts';

/** A sandbox of a host lab whose guest has something to lose: a file on its disk, and a process with a file in memory. */

/** What is in a guest that has lost nothing, one that has lost its memory, and one that never had anything. */
export const WHOLE = 'on disk, in memory';
export const DISK_ONLY = 'on disk, ';
export const EMPTY = '';

/** What it is made larger to, in MiB: more than it is created with. */
const LARGER_MB = 20_992;
/** What a sandbox is copied for, and whether that takes its memory. */
const COPIED_FOR: Readonly<Record<string, boolean>> = { fork: true, snapshot: false };

const MARK =
  'printf "on disk" > /kept; sync; printf "in memory" > /run/kept; sleep 1000000 > /dev/null 2>&1 & echo $! > /run/pid';
/** Not from the page cache of the guest; and the file in memory only while the process runs. */
const LOOK =
  'echo 1 > /proc/sys/vm/drop_caches; cat /kept; printf ", "; kill -0 $(cat /run/pid) && cat /run/kept';

export class MarkedGuest {
  readonly #lab: HostLab;
  readonly #shape: Record<string, unknown>;
  #id = newSandboxId();
  #isMarked = false;

  /** @param shape what it is created with */
  constructor(lab: HostLab, shape: Record<string, unknown>) {
    this.#lab = lab;
    this.#shape = shape;
  }

  /** Id of the sandbox; another one after it was destroyed. */
  get id(): string {
    return this.#id;
  }

  /** Makes sure that no sandbox is there. The next one gets an id of its own. */
  async gone(): Promise<void> {
    if (await this.view()) await this.command('destroy');
    await this.#lab.host().until(this.#id, (view) => view === null);
    this.#id = newSandboxId();
    this.#isMarked = false;
  }

  /** Makes sure that the sandbox runs, and has its file and its memory. */
  async running(): Promise<void> {
    const state = (await this.view())?.state;
    if (state === undefined) {
      await this.gone();
      await this.create(this.#shape);
    } else if (state === 'paused') await this.command('resume');
    else if (state === 'crashed') await this.command('restart');
    if (this.#isMarked) return;
    await this.exec(MARK);
    this.#isMarked = true;
  }

  /** Makes sure that it is paused, and nothing is done in the background any more. */
  async paused(): Promise<void> {
    await this.running();
    await this.#lab.disarm();
    await this.command('pause');
    await passedWhenQuiet(this.#lab);
  }

  /** Makes sure that it has crashed: its machine was killed. */
  async crashed(): Promise<void> {
    await this.running();
    process.kill(await this.monitor(), 'SIGKILL');
    await this.#lab.host().until(this.#id, (view) => view?.state === 'crashed' && view.step === null);
    // What was in memory is gone, and has to be made anew.
    this.#isMarked = false;
  }

  /** Pid of its virtual machine. Throws unless there is exactly one. */
  async monitor(): Promise<number> {
    const [found, ...others] = (await monitorsIn(this.#lab.dataDir)).filter(({ id }) => id === this.#id);
    if (!found || others.length > 0) throw new Error(`${others.length + (found ? 1 : 0)} virtual machines`);
    return found.pid;
  }

  async create(shape: Record<string, unknown>): Promise<HostView> {
    return await this.#lab.host().ask('create', { id: this.#id, ...shape });
  }

  /** Carries out a command that its view allows. Of those that the host begins with a copy of it, the copy is taken. */
  async command(name: string): Promise<HostView> {
    if (name === 'restart') this.#isMarked = false;
    const host = this.#lab.host();
    if (name === 'resize') return await host.command(this.#id, name, { disk_size_mb: LARGER_MB });
    const memory = COPIED_FOR[name];
    if (memory === undefined) return await host.command(this.#id, name);
    return await host.command(this.#id, 'capture', { dir: path.join(this.#copies(), 'k-marked'), memory });
  }

  /** Removes the copies that were taken of it, as the host does with its own. A host that died makes one that it was taking again. */
  async throwCopiesAway(): Promise<void> {
    await rm(this.#copies(), { recursive: true, force: true });
  }

  #copies(): string {
    return path.join(this.#lab.dataDir, 'store', 'captures');
  }

  view(): Promise<HostView | null> {
    return this.#lab.host().view(this.#id);
  }

  /** Standard output of a shell command. */
  async exec(cmd: string): Promise<string> {
    return (await this.#lab.host().ask<{ stdout: string }>('exec', { id: this.#id, cmd })).stdout;
  }

  /** What is in it: `WHOLE`, `DISK_ONLY` or `EMPTY`. */
  async content(): Promise<string> {
    const said = await this.exec(LOOK);
    return said === ', ' ? EMPTY : said;
  }
}

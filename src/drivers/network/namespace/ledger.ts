import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../../clock.ts';
import { DormouseError } from '../../../errors/index.ts';
import { SLOTS_MAX } from './layout.ts';

/** One slot of this machine, as its file says. */
export interface Entry {
  number: number;
  hostId: string;
  /** For whom the slot is kept; null for none: spare, being made, or to be removed. */
  holder: string | null;
  /** Since when it is kept so, in ISO 8601. */
  since: string;
}

const ENTRY_FILE = /^(0|[1-9][0-9]*)\.json$/;

/**
 * Which slot numbers of the machine are taken, and by whom: one file per slot, `<number>.json`. Several hosts on one
 * machine share the folder. A file is there before anything of its slot is made and goes after everything of it is
 * gone, so whatever a killed agent left behind has a file that says whose it was.
 *
 * Files are written aside and get their name whole: by link(2), which fails when the name is taken, or by rename(2).
 * They are not synced: namespaces do not outlive a restart of the machine either.
 */
export class Ledger {
  readonly #dir: string;
  readonly #hostId: string;
  readonly #clock: Clock;

  constructor(stateDir: string, hostId: string, clock: Clock) {
    this.#dir = path.join(stateDir, 'slots');
    this.#hostId = hostId;
    this.#clock = clock;
  }

  /** Makes the folder, and removes what a killed agent of this host was writing aside. Throws `NETWORK_FAILED`. */
  async open(): Promise<void> {
    await this.#guard(async () => {
      await mkdir(this.#dir, { recursive: true, mode: 0o755 });
      for (const name of await readdir(this.#dir)) {
        if (name.startsWith(this.#asidePrefix())) await rm(path.join(this.#dir, name), { force: true });
      }
    });
  }

  /** The slots of this host. Files that are not readable as an entry are somebody else's. */
  async own(): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const number of await this.#numbers()) {
      const entry = await this.#read(number);
      if (entry?.hostId === this.#hostId) entries.push(entry);
    }
    return entries;
  }

  /** Takes the lowest free number for which `usable` holds. Throws `NETWORK_FAILED` when there is none. */
  async take(usable: (number: number) => Promise<boolean>): Promise<number> {
    const taken = new Set(await this.#numbers());
    for (let number = 0; number < SLOTS_MAX; number += 1) {
      if (!taken.has(number) && (await usable(number)) && (await this.#claim(number))) return number;
    }
    throw new DormouseError('NETWORK_FAILED', `All ${SLOTS_MAX} network slots of this machine are taken.`);
  }

  /** Records for whom the slot is kept from now on. */
  async setHolder(number: number, holder: string | null): Promise<void> {
    await this.#guard(async () => {
      const aside = await this.#writeAside({ ...this.#newEntry(number), holder });
      await rename(aside, this.#file(number));
    });
  }

  /** Gives the number back. */
  async free(number: number): Promise<void> {
    await this.#guard(() => rm(this.#file(number), { force: true }));
  }

  /** False when somebody else was faster. */
  async #claim(number: number): Promise<boolean> {
    return await this.#guard(async () => {
      const aside = await this.#writeAside(this.#newEntry(number));
      try {
        await link(aside, this.#file(number));
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
        throw error;
      } finally {
        await rm(aside, { force: true });
      }
    });
  }

  async #writeAside(entry: Entry): Promise<string> {
    const aside = path.join(this.#dir, `${this.#asidePrefix()}${randomUUID()}`);
    await writeFile(aside, `${JSON.stringify(entry)}\n`, { flag: 'wx', mode: 0o644 });
    return aside;
  }

  async #numbers(): Promise<number[]> {
    const names = await this.#guard(() => readdir(this.#dir));
    return names.flatMap((name) => ENTRY_FILE.exec(name)?.slice(1).map(Number) ?? []);
  }

  async #read(number: number): Promise<Entry | undefined> {
    try {
      const found: unknown = JSON.parse(await readFile(this.#file(number), 'utf8'));
      const { hostId, holder, since } = (found ?? {}) as Partial<Entry>;
      if (typeof hostId !== 'string' || typeof since !== 'string') return undefined;
      return { number, hostId, since, holder: typeof holder === 'string' ? holder : null };
    } catch {
      return undefined;
    }
  }

  #newEntry(number: number): Entry {
    const since = new Date(this.#clock.nowMs()).toISOString();
    return { number, hostId: this.#hostId, holder: null, since };
  }

  #file(number: number): string {
    return path.join(this.#dir, `${number}.json`);
  }

  #asidePrefix(): string {
    return `.${this.#hostId}~`;
  }

  async #guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      if (error instanceof DormouseError) throw error;
      throw new DormouseError('NETWORK_FAILED', `The ledger of network slots ${this.#dir} cannot be used.`, {
        cause: error,
      });
    }
  }
}

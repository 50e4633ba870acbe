import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, View } from '../support/dormouse.ts';
import { Known } from './known.ts';
import type { Random } from './random.ts';
import type { Server } from './server.ts';

/** Random commands, several at a time. Every answer is remembered as a promise that `check.ts` holds the server to. */

/** Sandboxes at the same time: two processors emulate all of their machines. */
const SANDBOXES_MAX = 5;
const WORKERS = 3;
/** Rest of a worker between two commands, in milliseconds. */
const PAUSE_MS = [20, 400] as const;

/** How often each is chosen, in proportion. */
const COMMANDS = {
  create: 2,
  writeToDisk: 10,
  writeToMemory: 10,
  pause: 3,
  resume: 6,
  restart: 0.7,
  ping: 2,
  destroy: 0.6,
  race: 3,
} as const;
type Command = keyof typeof COMMANDS;
/** How often a create without an answer is asked for again, a second apart. */
const ASKED_AGAIN = 60;
/** What is done at once on one sandbox. */
const RACES = [
  'pause',
  'resume',
  'pause',
  'resume',
  'writeToDisk',
  'writeToMemory',
  'ping',
  'restart',
] as const;

/** Answers that say that it cannot be now, or that something was killed meanwhile: nobody was promised anything. */
const REFUSALS = new Set([404, 409, 499, 503, 504, 507]);

export class Load {
  readonly #server: Server;
  readonly #random: Random;
  readonly #known = new Map<string, Known>();
  /** Creates whose answers never came: asked again with the same key they tell what became of them. */
  readonly #unanswered = new Map<string, Record<string, unknown>>();
  /** Sandboxes whose virtual machines were killed before their creates were answered. */
  readonly #killed = new Set<string>();
  /** How often each was done; refusals and answers by their code. */
  readonly counts = new Map<string, number>();
  #isOn = false;
  #workers: Promise<unknown> = Promise.resolve();
  #line = 0;

  constructor(server: Server, random: Random) {
    this.#server = server;
    this.#random = random;
  }

  get known(): Known[] {
    return [...this.#known.values()];
  }

  start(): void {
    this.#isOn = true;
    this.#workers = Promise.all(Array.from({ length: WORKERS }, () => this.#work()));
  }

  /** Ends the load: resolves when every command has its answer, or never will, and every create is known. */
  async stop(): Promise<void> {
    this.#isOn = false;
    await this.#workers;
    for (let round = 0; round < ASKED_AGAIN && this.#unanswered.size > 0; round += 1) {
      if (round > 0) await sleep(1_000);
      for (const [key, options] of [...this.#unanswered]) await this.#create(key, options);
    }
  }

  /** Ends the load, whatever becomes of it. */
  end(): void {
    this.#isOn = false;
  }

  /** Creates that nobody could learn the end of. */
  get unanswered(): number {
    return this.#unanswered.size;
  }

  /** The sandbox's virtual machine is about to be killed: what it was promised may be gone. */
  killed(id: string): void {
    this.#killed.add(id);
    const known = this.#known.get(id);
    if (known) Object.assign(known, { memoryLost: true, mayHaveCrashed: true });
    known?.disturb();
  }

  forget(known: Known): void {
    this.#known.delete(known.id);
  }

  async #work(): Promise<void> {
    while (this.#isOn) {
      const command = this.#random.weighted<Command>(COMMANDS);
      const sandbox = this.#random.one(this.known.filter(({ destroyed }) => destroyed === 'no'));
      if (!sandbox || command === 'create') await this.#make();
      else if (command === 'race') await this.#race(sandbox);
      else await this.#one(command, sandbox);
      await sleep(this.#random.between(...PAUSE_MS));
    }
  }

  async #race(sandbox: Known): Promise<void> {
    const chosen = Array.from({ length: this.#random.between(2, 4) }, () => this.#random.one(RACES));
    this.#count('race');
    await Promise.all(chosen.map((command) => command && this.#one(command, sandbox)));
  }

  async #one(command: Exclude<Command, 'create' | 'race'>, sandbox: Known): Promise<void> {
    const { id } = sandbox;
    switch (command) {
      case 'writeToDisk':
        return await this.#write(sandbox.onDisk, id, (line) => `echo ${line} >> /acks && sync`);
      case 'writeToMemory':
        return await this.#write(sandbox.inMemory, id, (line) => `echo ${line} >> /tmp/acks`);
      case 'ping':
        return void this.#take('ping', await this.#server.ask('POST', `/sandboxes/${id}/ping`, {}));
      case 'destroy':
        sandbox.destroyed = 'asked';
        await this.#change(sandbox, command, 'DELETE', `/sandboxes/${id}`);
        return;
      case 'restart':
        // Also when it is refused or not answered: it may have been begun.
        sandbox.memoryLost = true;
        await this.#change(sandbox, command, 'POST', `/sandboxes/${id}/restart`);
        return;
      case 'pause':
        await this.#change(sandbox, command, 'POST', `/sandboxes/${id}/pause`);
        return;
      case 'resume': {
        const answer = await this.#change(sandbox, command, 'POST', `/sandboxes/${id}/resume`);
        // One that crashed would refuse everything from then on.
        if (answer?.status === 409 && answer.body.state === 'crashed') await this.#one('restart', sandbox);
      }
    }
  }

  async #change(
    sandbox: Known,
    name: string,
    method: string,
    where: string,
  ): Promise<Answer<View> | undefined> {
    return await sandbox.changing(
      async () => {
        const answer = await this.#server.ask<View>(method, where);
        this.#take(name, answer);
        if (answer?.status === 200 && answer.body.state === 'destroyed') sandbox.destroyed = 'yes';
        return answer;
      },
      (answer) => (answer?.status === 200 ? answer.body.state : undefined),
    );
  }

  async #write(lines: Set<number>, id: string, cmd: (line: number) => string): Promise<void> {
    this.#line += 1;
    const line = this.#line;
    const answer = await this.#server.ask<{ exit_code: number }>('POST', `/sandboxes/${id}/exec`, {
      cmd: cmd(line),
    });
    this.#take('write', answer);
    if (answer?.status === 200 && answer.body.exit_code === 0) lines.add(line);
  }

  async #make(): Promise<void> {
    const there = this.known.filter(({ destroyed }) => destroyed !== 'yes').length;
    if (there + this.#unanswered.size >= SANDBOXES_MAX) return;
    const hasTimeout = this.#random.next() < 0.3;
    const options = hasTimeout ? { timeout_s: 15, on_timeout: 'pause' } : {};
    await this.#create(randomUUID(), { template: 'minimal', ...options });
  }

  async #create(key: string, options: Record<string, unknown>): Promise<void> {
    this.#unanswered.set(key, options);
    const answer = await this.#server.ask<View>('POST', '/sandboxes', options, { 'idempotency-key': key });
    this.#take('create', answer);
    if (!answer) return;
    // Such an answer may come although the sandbox is being made.
    if (answer.status === 503 || answer.status === 504 || answer.status === 409) return;
    this.#unanswered.delete(key);
    if (answer.status !== 201) return;
    const { id } = answer.body;
    this.#known.set(id, new Known(id, 'timeout_s' in options));
    if (this.#killed.has(id)) this.killed(id);
  }

  #take(name: string, answer: Answer | undefined): void {
    if (!answer) this.#count(`${name} without an answer`);
    else if (answer.status < 300) this.#count(name);
    else if (REFUSALS.has(answer.status)) this.#count('refused');
    else this.#count(`${name} ${answer.body?.code ?? answer.status}`);
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const CONNECT_LIMIT_MS = 10_000;
const CONNECT_RETRY_MS = 2;

interface Message {
  id?: number;
  return?: unknown;
  error?: { desc: string };
  event?: string;
  data?: { status?: string };
}

/** As little of QEMU's monitor protocol as a plain script needs. */
export class Qmp {
  readonly #socket: net.Socket;
  readonly #answers = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #migration = Promise.withResolvers<void>();
  readonly #greeting = Promise.withResolvers<void>();
  #rest = '';
  #lastId = 0;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#migration.promise.catch(() => {});
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#receive(text));
    socket.on('error', () => {});
    socket.on('close', () => this.#end());
  }

  /** Connects as soon as QEMU listens. */
  static async connect(socketPath: string): Promise<Qmp> {
    const giveUpAtMs = performance.now() + CONNECT_LIMIT_MS;
    for (;;) {
      try {
        const qmp = new Qmp(await open(socketPath));
        await qmp.#greeting.promise;
        await qmp.execute('qmp_capabilities');
        return qmp;
      } catch (error) {
        if (performance.now() > giveUpAtMs) throw error;
        await sleep(CONNECT_RETRY_MS);
      }
    }
  }

  async execute(command: string, args?: unknown): Promise<unknown> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#answers.set(this.#lastId, answer);
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id: this.#lastId })}\n`);
    return await answer.promise;
  }

  /** Begins a migration and waits until it is complete. */
  async migrate(command: 'migrate' | 'migrate-incoming', uri: string): Promise<void> {
    await this.execute(command, { uri });
    await this.#migration.promise;
  }

  /** Tells QEMU to end; its answer may come or not. */
  quit(): void {
    void this.execute('quit').catch(() => {});
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') this.#message(JSON.parse(line) as Message);
  }

  #message({ id, return: result, error, event, data }: Message): void {
    if (event === 'MIGRATION' && data?.status === 'completed') this.#migration.resolve();
    else if (event === 'MIGRATION' && data?.status === 'failed')
      this.#migration.reject(new Error('the migration failed'));
    else if (id !== undefined && error) this.#answers.get(id)?.reject(new Error(error.desc));
    else if (id !== undefined) this.#answers.get(id)?.resolve(result);
    else if (event === undefined) this.#greeting.resolve();
  }

  #end(): void {
    const ended = new Error('QEMU closed its monitor');
    this.#migration.reject(ended);
    this.#greeting.reject(ended);
    for (const answer of this.#answers.values()) answer.reject(ended);
  }
}

function open(socketPath: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath, () => resolve(socket));
    socket.once('error', reject);
  });
}

import net from 'node:net';
import { DormouseError } from '../../../errors/index.ts';
import { LineSplitter } from '../../../line-splitter.ts';
import { unlessAborted } from '../../../unless-aborted.ts';
import type { QmpCommand, QmpCommands, QmpEvent } from './qmp-commands.ts';

/** Longest message that is taken, in bytes. The longest that is expected is a console of 64 KiB in base64. */
export const QMP_LINE_MAX = 1024 * 1024;

interface Waiting {
  command: string;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * A connection to the monitor of one QEMU process: a greeting, then one JSON object per line
 * (https://www.qemu.org/docs/master/interop/qmp-spec.html). Answers are told apart by the id of their command, so an
 * answer that comes after its caller went is dropped. The monitor serves one connection at a time.
 */
export class QmpClient {
  readonly #socket: net.Socket;
  readonly #lines = new LineSplitter(QMP_LINE_MAX);
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #greeted = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #failure: DormouseError | undefined;
  #lastId = 0;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#greeted.promise.catch(() => {});
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => {
      this.#end();
      this.#ended.resolve();
    });
  }

  /**
   * Connects and negotiates.
   *
   * @throws `VMM_FAILED` when nobody listens or something else answers; the signal's reason
   */
  static async connect(socketPath: string, signal: AbortSignal): Promise<QmpClient> {
    signal.throwIfAborted();
    const client = new QmpClient(net.connect(socketPath));
    try {
      await unlessAborted(client.#greeted.promise, signal);
      await client.execute('qmp_capabilities', undefined, signal);
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Resolves when the connection has ended and everything that came over it has been handed on. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  /**
   * Runs a command. When `signal` aborts, the command may have been carried out all the same.
   *
   * @throws `VMM_FAILED` with QEMU's class and description of the error, or when the connection ends; the signal's reason
   */
  async execute<C extends QmpCommand>(
    command: C,
    args: QmpCommands[C]['arguments'],
    signal: AbortSignal,
  ): Promise<QmpCommands[C]['result']> {
    signal.throwIfAborted();
    if (this.#failure) throw this.#failure;
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { command, resolve: answer.resolve, reject: answer.reject });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return (await unlessAborted(answer.promise, signal)) as QmpCommands[C]['result'];
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Calls `listener` with each event. Returns an undo. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the connection; commands that wait fail. The machine is left alone. */
  close(): void {
    this.#end();
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) if (line.trim() !== '') this.#message(JSON.parse(line));
    } catch (error) {
      this.#end(error);
      this.#socket.destroy();
    }
  }

  #message(message: unknown): void {
    if (typeof message !== 'object' || message === null) throw new TypeError('a message is not an object');
    const { QMP, event, data, id, error, return: result } = message as Record<string, unknown>;
    if (QMP !== undefined) this.#greeted.resolve();
    else if (typeof event === 'string') {
      const known = { event, data: (data ?? {}) as QmpEvent['data'] };
      for (const listener of [...this.#listeners]) listener(known);
    } else {
      const waiting = this.#waiting.get(Number(id));
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(commandError(waiting.command, error));
    }
  }

  #end(cause?: unknown): void {
    if (this.#failure) return;
    this.#failure = new DormouseError('VMM_FAILED', 'The connection to the QEMU monitor has ended.', {
      cause,
    });
    this.#greeted.reject(this.#failure);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
  }
}

function commandError(command: string, error: unknown): DormouseError {
  const { class: qmpClass, desc } = (error ?? {}) as { class?: unknown; desc?: unknown };
  return new DormouseError('VMM_FAILED', `QEMU refused ${command}: ${desc} (${qmpClass}).`, {
    data: { command, qmpClass, desc },
  });
}

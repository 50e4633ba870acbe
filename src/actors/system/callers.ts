import type { CommandContext } from './command.ts';

interface Caller {
  signal: AbortSignal;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * Who waits for the answer to which command. Several callers can wait for one command: a caller that sends it again with
 * the same id joins the first. A command is abandoned when every one of its callers has gone.
 */
export class Callers {
  readonly #waiting = new Map<string, { fingerprint: string; callers: Set<Caller>; reason?: unknown }>();
  readonly #abandoned: (commandId: string) => void;

  /** @param abandoned called when the last caller of a command that is not answered yet goes away */
  constructor(abandoned: (commandId: string) => void) {
    this.#abandoned = abandoned;
  }

  /** The fingerprint of a command that is being carried out. */
  fingerprint(commandId: string): string | undefined {
    return this.#waiting.get(commandId)?.fingerprint;
  }

  /** Waits for the command's answer. */
  wait(fingerprint: string, context: Pick<CommandContext, 'commandId' | 'signal'>): Promise<unknown> {
    const entry = this.#waiting.get(context.commandId) ?? {
      fingerprint,
      callers: new Set(),
      reason: undefined,
    };
    this.#waiting.set(context.commandId, entry);
    if (context.signal.aborted) entry.reason = context.signal.reason;
    return new Promise((resolve, reject) => {
      entry.callers.add({ signal: context.signal, resolve, reject });
      context.signal.addEventListener(
        'abort',
        () => {
          entry.reason = context.signal.reason;
          if (this.isAbandoned(context.commandId)) this.#abandoned(context.commandId);
        },
        { once: true },
      );
    });
  }

  /** True when the command had callers and all of them have gone. A command that goes on after a restart never had one. */
  isAbandoned(commandId: string): boolean {
    const callers = this.#waiting.get(commandId)?.callers;
    return callers !== undefined && callers.size > 0 && [...callers].every((caller) => caller.signal.aborted);
  }

  /** The reason for which the last caller went. */
  reason(commandId: string): unknown {
    return this.#waiting.get(commandId)?.reason;
  }

  /** Answers all callers of the command. */
  answer(commandId: string, outcome: { value: unknown } | { error: Error }): void {
    const entry = this.#waiting.get(commandId);
    this.#waiting.delete(commandId);
    for (const caller of entry?.callers ?? [])
      'error' in outcome ? caller.reject(outcome.error) : caller.resolve(outcome.value);
  }

  /** Answers everybody with an error: the actor stops. */
  answerAll(error: Error): void {
    for (const commandId of [...this.#waiting.keys()]) this.answer(commandId, { error });
  }
}

import { DormouseError } from '../../errors/index.ts';

/**
 * The requests that are open to guests, by sandbox. A pause cuts them: a connection that were open across it would be
 * half dead afterwards. The programs in the guest go on, and who waits for one attaches to it again.
 */
export class GuestSessions {
  readonly #open = new Map<string, Set<AbortController>>();

  /** Registers a request. Its signal aborts when the sandbox is drained or `outer` aborts. `close` must be called. */
  open(sandboxId: string, outer: AbortSignal): { signal: AbortSignal; close: () => void } {
    const controller = new AbortController();
    const sessions = this.#open.get(sandboxId) ?? new Set();
    this.#open.set(sandboxId, sessions.add(controller));
    return {
      signal: AbortSignal.any([controller.signal, outer]),
      close: () => {
        sessions.delete(controller);
        if (sessions.size === 0 && this.#open.get(sandboxId) === sessions) this.#open.delete(sandboxId);
      },
    };
  }

  /** Cuts all requests of the sandbox. */
  cut(sandboxId: string): void {
    const sessions = this.#open.get(sandboxId);
    this.#open.delete(sandboxId);
    for (const controller of sessions ?? []) {
      controller.abort(
        new DormouseError(
          'EXEC_INTERRUPTED',
          'The sandbox left the state running. The program goes on when it runs again.',
        ),
      );
    }
  }
}

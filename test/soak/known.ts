/** What the soak knows of a sandbox: what it was promised, and what it cannot know because of what it did itself. */
export class Known {
  readonly id: string;
  /** Whether its time may run out by itself. */
  hasTimeout: boolean;
  /** Lines whose write was answered with success, in `/acks` on the disk. */
  readonly onDisk = new Set<number>();
  /** The same, in `/tmp/acks`, which is in memory. */
  readonly inMemory = new Set<number>();
  /** Its virtual machine was killed, or booted anew: what was in memory may be gone. */
  memoryLost = false;
  /** Its virtual machine was killed: it may be crashed. */
  mayHaveCrashed = false;
  /** A destroy was asked for; `yes` when it was answered with success. */
  destroyed: 'no' | 'asked' | 'yes' = 'no';
  /** The state that the last command left, when no other was under way beside it. */
  expected: string | undefined;
  #underWay = 0;

  constructor(id: string, hasTimeout: boolean) {
    this.id = id;
    this.hasTimeout = hasTimeout;
  }

  /** Runs a command that changes the state; `stateOf` says which one its answer promises. */
  async changing<T>(command: () => Promise<T>, stateOf: (answer: T) => string | undefined): Promise<T> {
    this.#underWay += 1;
    const alone = this.#underWay === 1;
    this.expected = undefined;
    let overlapped = !alone;
    try {
      const answer = await command();
      overlapped ||= this.#underWay > 1;
      this.expected = overlapped ? undefined : stateOf(answer);
      return answer;
    } finally {
      this.#underWay -= 1;
    }
  }

  /** Something was done to it from outside. */
  disturb(): void {
    this.expected = undefined;
  }
}

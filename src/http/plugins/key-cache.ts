import { hashOfKey } from '../../api-key.ts';
import type { Clock } from '../../clock.ts';
import { DormouseError, hasCode } from '../../errors/index.ts';
import type { Logger } from '../../log.ts';
import type { Principal, Records } from '../../records/types.ts';

/** How long a known key is believed without asking again, in milliseconds: a revoked one works no longer than that. */
const KNOWN_MS = 30_000;
/** How long a key that was known goes on working while the database cannot be asked, in milliseconds. */
const KNOWN_WITHOUT_RECORDS_MS = 3_600_000;
/** How long an unknown key is refused without asking again, in milliseconds. */
const UNKNOWN_MS = 2_000;
const KNOWN_MAX = 10_000;
const UNKNOWN_MAX = 1_000;

/** So many wrong keys from one address within the window, then no more unknown keys of it are looked up. */
const FAILURES_MAX = 30;
const FAILURE_WINDOW_MS = 60_000;
const ADDRESSES_MAX = 10_000;

/** A question to the database, and how often keys had been forgotten when it was asked. */
interface Lookup {
  forgotten: number;
  answer: Promise<Principal | undefined>;
}

/**
 * Whose a key is. Keys are looked up by their hash (they are random, so a plain one is enough) and remembered for a short
 * time. Keys that are known go on working while the database is away. Somebody who guesses is slowed down by address,
 * and with them everybody of that address whose key was not looked up lately; keys that worked lately, from wherever, still do.
 */
export class KeyCache {
  readonly #records: Pick<Records, 'authenticate'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #known = new Map<string, { principal: Principal; atMs: number }>();
  readonly #unknown = new Map<string, number>();
  readonly #asked = new Map<string, Lookup>();
  readonly #failures = new Map<string, { count: number; sinceMs: number }>();
  /** Counts the calls of `forget`: what was asked for before one is not remembered after it. */
  #forgotten = 0;

  constructor(records: Pick<Records, 'authenticate'>, clock: Clock, log: Logger) {
    this.#records = records;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * The key's owner.
   *
   * @param address where the request comes from: of callers behind a proxy that is not trusted, the proxy's
   * @throws `UNAUTHENTICATED`, `RATE_LIMITED` with `data.retry_after_s`, `RECORDS_UNAVAILABLE`
   */
  async ownerOf(key: string, address: string): Promise<Principal> {
    const hash = hashOfKey(key);
    const now = this.#clock.monotonicMs();
    const known = this.#known.get(hash);
    const hasExpired = known !== undefined && this.#hasExpired(known.principal);
    if (known && !hasExpired && now - known.atMs < KNOWN_MS) return known.principal;
    if (!known) this.#refuseGuesser(address, now);
    const refusedAt = this.#unknown.get(hash);
    const isRefused = hasExpired || (refusedAt !== undefined && now - refusedAt < UNKNOWN_MS);
    const principal = isRefused ? undefined : await this.#ask(hash, known);
    if (principal) return principal;
    this.#countFailure(address, now);
    throw new DormouseError('UNAUTHENTICATED', 'The API key is not known, or it was revoked or has expired.');
  }

  /** Forgets the keys that are gone, which no longer work here from now on. Other edges find out within 30 s. */
  forget(isGone: (principal: Principal) => boolean): void {
    this.#forgotten += 1;
    this.#asked.clear();
    for (const [hash, { principal }] of this.#known) if (isGone(principal)) this.#known.delete(hash);
  }

  #hasExpired({ expiresAt }: Principal): boolean {
    return expiresAt !== null && expiresAt.getTime() <= this.#clock.nowMs();
  }

  /** Asks the database, once for all requests that wait for the same key. */
  async #ask(
    hash: string,
    known: { principal: Principal; atMs: number } | undefined,
  ): Promise<Principal | undefined> {
    const { forgotten, answer } = this.#lookUp(hash);
    let principal: Principal | undefined;
    try {
      principal = await answer;
    } catch (error) {
      const isFresh = known && this.#clock.monotonicMs() - known.atMs < KNOWN_WITHOUT_RECORDS_MS;
      if (!isFresh || !hasCode(error, 'RECORDS_UNAVAILABLE')) throw error;
      this.#log.warn({ key: known.principal.keyId }, 'a key is believed without the records');
      return known.principal;
    }
    const now = this.#clock.monotonicMs();
    if (forgotten !== this.#forgotten) return principal;
    if (principal) put(this.#known, hash, { principal, atMs: now }, KNOWN_MAX);
    else {
      this.#known.delete(hash);
      put(this.#unknown, hash, now, UNKNOWN_MAX);
    }
    return principal;
  }

  /** The lookup that is under way for the key, or a new one. */
  #lookUp(hash: string): Lookup {
    const underWay = this.#asked.get(hash);
    if (underWay) return underWay;
    const answer = this.#records.authenticate(hash).finally(() => {
      if (this.#asked.get(hash) === lookup) this.#asked.delete(hash);
    });
    const lookup = { forgotten: this.#forgotten, answer };
    this.#asked.set(hash, lookup);
    return lookup;
  }

  #refuseGuesser(address: string, now: number): void {
    const failures = this.#failures.get(address);
    if (!failures || failures.count < FAILURES_MAX) return;
    const leftMs = failures.sinceMs + FAILURE_WINDOW_MS - now;
    if (leftMs <= 0) return;
    throw new DormouseError('RATE_LIMITED', 'Too many requests with wrong API keys came from this address.', {
      data: { retry_after_s: Math.ceil(leftMs / 1000) },
    });
  }

  #countFailure(address: string, now: number): void {
    const failures = this.#failures.get(address);
    if (failures && now - failures.sinceMs < FAILURE_WINDOW_MS) failures.count += 1;
    else put(this.#failures, address, { count: 1, sinceMs: now }, ADDRESSES_MAX);
  }
}

/** Sets an entry as the newest one; beyond the bound the oldest goes. */
function put<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
}

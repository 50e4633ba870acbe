import { type EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { recordsError } from './errors.ts';
import { ormOptions, pooled } from './orm.ts';

export type { EntityManager };

/** What the functions of the records work with. */
export interface Database {
  readonly clock: Clock;
  readonly log: Logger;
  /** Does `work` with an entity manager of its own. Throws as `recordsError` says. */
  run<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /** Does `work` in a transaction. It must not begin another one. */
  transaction<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** The pool of connections; none is opened yet. A lost one is replaced by the next call. */
export function openDatabase({ url, clock, log }: { url: string; clock: Clock; log: Logger }): Database {
  const orm = new MikroORM({ ...ormOptions(url, log), driverOptions: pooled(url) });
  async function run<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    try {
      return await work(orm.em.fork());
    } catch (error) {
      throw recordsError(error);
    }
  }
  /**
   * Not `em.transactional`: when the connection is lost inside a transaction, its rollback fails, and Kysely's controlled
   * transactions, on which it is built, then never give the connection back (kysely 0.29, ControlledTransaction.rollback);
   * after as many losses as the pool has places, nobody gets one any more. A transaction with a callback always does.
   */
  const transaction = <T>(work: (em: EntityManager) => Promise<T>): Promise<T> =>
    run((em) =>
      em
        .getConnection()
        .getClient()
        .transaction()
        .execute((inside) => {
          em.setTransactionContext(inside);
          return work(em);
        }),
    );
  return { clock, log, run, transaction, close: () => orm.close(true) };
}

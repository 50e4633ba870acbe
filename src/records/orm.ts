import { Migrator } from '@mikro-orm/migrations';
import { defineConfig, type Options } from '@mikro-orm/postgresql';
import { databaseName } from '../addresses.ts';
import { entities } from '../entities/index.ts';
import { migrations } from '../entities/migrations/index.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';

/** How many connections one process opens at most. */
const POOL_MAX = 10;
/** How long a connection may take to open, or to be free, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000;
/**
 * How long a connection is used, in seconds. A server that was told to end takes no new connections and waits for those that
 * it has (PostgreSQL's smart shutdown): ones that are kept in use would keep it in that state for ever.
 */
const CONNECTION_LIFETIME_S = 30;
/** How long the server works on a statement, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** How long an answer is waited for, in milliseconds: longer than the server's own limit, for a server that is gone. */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1_000;

/** What the command line of MikroORM, the migrations and the records share. Throws `CONFIG_INVALID` for a URL that is not usable. */
export function ormOptions(url: string, log?: Logger): Options {
  return defineConfig({
    entities,
    extensions: [Migrator],
    migrations: {
      migrationsList: migrations,
      path: 'src/entities/migrations',
      pathTs: 'src/entities/migrations',
      emit: 'ts',
      // The entities and the database are compared directly; a snapshot would be written for every database name.
      snapshot: false,
    },
    dbName: nameOf(url),
    logger: (message) => log?.debug({ orm: message }, 'message of the ORM'),
    debug: ['info'],
    colors: false,
  });
}

/** The pool that requests use: what hangs ends in time, and the caller hears of it. */
export function pooled(url: string): Record<string, unknown> {
  return {
    // Read by `pg` itself, which knows unix sockets and TLS settings.
    connectionString: url,
    application_name: 'dormouse',
    max: POOL_MAX,
    maxLifetimeSeconds: CONNECTION_LIFETIME_S,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    keepAlive: true,
  };
}

/** For migrations, which may work on large tables and wait for one another. */
export function patient(url: string): Record<string, unknown> {
  return {
    connectionString: url,
    application_name: 'dormouse migrations',
    max: 2,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

function nameOf(url: string): string {
  try {
    return databaseName(url);
  } catch (error) {
    throw new DormouseError('CONFIG_INVALID', `The address of the database ${messageOf(error)}.`);
  }
}

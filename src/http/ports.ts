import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { Bus } from '../bus/types.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { Records } from '../records/types.ts';

/** What an edge is made with. It keeps nothing of its own but a cache of keys. */
export interface EdgePorts {
  bus: Bus;
  records: Records;
  clock: Clock;
  log: Logger;
  /** Version of the program, for `/healthz` and the OpenAPI document. */
  version: string;
  /** Whether requests need a key. `none` is for an edge that only this machine can reach. Default: `keys`. */
  auth?: 'keys' | 'none';
  /** Addresses and networks of proxies whose `X-Forwarded-For` says where a request comes from. Default: none. */
  trustedProxies?: readonly string[];
  /** Largest file that a template is built from, in bytes. Default: 20 GiB. */
  uploadBytesMax?: number;
  /** Folder of the built pages. Default: where the set-up builds them. */
  uiDir?: string;
  /** How long requests that are under way may take after `close` was called, in milliseconds. Default: 10 seconds. */
  drainMs?: number;
}

/** The Fastify application, with routes typed by their TypeBox schemas. */
export type EdgeApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

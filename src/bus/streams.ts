import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from '@nats-io/jetstream';
import type { StreamDefinition } from '../../nats/streams.ts';
import type { Connection } from './connection.ts';

/** JetStream's error code for a stream or a consumer that does not exist. */
const STREAM_NOT_FOUND = 10059;
const CONSUMER_NOT_FOUND = 10014;
const STREAM_NAME_IN_USE = 10058;

/** How long a call to JetStream may take, in milliseconds. */
export const JETSTREAM_TIMEOUT_MS = 5_000;

/** True when `error` says that the stream or the consumer does not exist. */
export function isMissing(error: unknown): boolean {
  return hasApiCode(error, STREAM_NOT_FOUND) || hasApiCode(error, CONSUMER_NOT_FOUND);
}

function hasApiCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

/** JetStream's management interface, without a question to the server beforehand. */
export function manager(connection: Connection): Promise<JetStreamManager> {
  return jetstreamManager(connection.nc, { checkAPI: false, timeout: JETSTREAM_TIMEOUT_MS });
}

/**
 * Makes sure that the stream exists and is as defined. Fields that the definition does not name are left as they are.
 * Several processes may do so at once.
 */
export async function ensureStream(jsm: JetStreamManager, definition: StreamDefinition): Promise<void> {
  let found: StreamConfig;
  try {
    found = (await jsm.streams.info(definition.name)).config;
  } catch (error) {
    if (!isMissing(error)) throw error;
    await jsm.streams.add(definition).catch((raced: unknown) => {
      if (!hasApiCode(raced, STREAM_NAME_IN_USE)) throw raced;
    });
    return;
  }
  if (differs(definition, found)) await jsm.streams.update(definition.name, { ...found, ...definition });
}

function differs(definition: StreamDefinition, found: StreamConfig): boolean {
  return Object.entries(definition).some(
    ([field, value]) => JSON.stringify(value) !== JSON.stringify(found[field as keyof StreamConfig]),
  );
}

/**
 * Remembers that something has been made sure of, so that it is asked of the server once; forgotten when it failed or
 * turned out to be wrong.
 */
export function once(make: () => Promise<void>): { done(): Promise<void>; forget(): void } {
  let made: Promise<void> | undefined;
  return {
    done() {
      made ??= make().catch((error: unknown) => {
        made = undefined;
        throw error;
      });
      return made;
    },
    forget() {
      made = undefined;
    },
  };
}

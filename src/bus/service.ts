import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { Clock } from '../clock.ts';
import type { DormouseError } from '../errors/index.ts';
import { newCommandId } from '../ids.ts';
import { encodeBody } from './envelope.ts';
import type { Observer } from './responder.ts';
import type { ServiceEndpoint, ServiceOptions } from './types.ts';

/**
 * Makes a group of endpoints visible to `nats micro ls`, `info` and `stats`: the discovery half of the NATS services
 * protocol (ADR-32). It is written out here because the client library's service measures only the synchronous part of
 * a handler and does not count the errors that an asynchronous one answers.
 */
export interface Announcement {
  /** Counts an answered request. */
  observe: Observer;
  close(): void;
}

/** A schema that is longer than this, in characters of JSON, is left out of the metadata. */
const MAX_SCHEMA_CHARS = 2048;
const NS_PER_MS = 1_000_000;

interface EndpointStats {
  num_requests: number;
  num_errors: number;
  last_error: string;
  /** Total, in nanoseconds. */
  processing_time: number;
}

export function announceService(
  nc: NatsConnection,
  clock: Clock,
  subjectPrefix: string,
  endpoints: readonly ServiceEndpoint[],
  options: ServiceOptions & { version: string },
): Announcement {
  const { name, description, version, metadata = {}, queue = '' } = options;
  const identity = { name, id: newCommandId(), version, metadata };
  const started = new Date(clock.nowMs()).toISOString();
  const stats = new Map<string, EndpointStats>();
  for (const { command } of endpoints) {
    stats.set(command.name, { num_requests: 0, num_errors: 0, last_error: '', processing_time: 0 });
  }
  const addresses = endpoints.map(({ command }) => ({
    name: command.name,
    subject: `${subjectPrefix}.${command.name}`,
    queue_group: queue,
  }));

  const answers: Record<string, () => unknown> = {
    PING: () => ({ type: 'io.nats.micro.v1.ping_response', ...identity }),
    INFO: () => ({
      type: 'io.nats.micro.v1.info_response',
      ...identity,
      description,
      endpoints: addresses.map((address, at) => ({ ...address, metadata: endpointMetadata(endpoints[at]) })),
    }),
    STATS: () => ({
      type: 'io.nats.micro.v1.stats_response',
      ...identity,
      started,
      endpoints: addresses.map((address) => ({ ...address, ...averaged(stats.get(address.name)) })),
    }),
  };

  const subscriptions: Subscription[] = [];
  for (const [verb, answer] of Object.entries(answers)) {
    for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${identity.id}`]) {
      subscriptions.push(
        nc.subscribe(subject, {
          callback: (error, message) => {
            if (!error) message.respond(encodeBody(answer()));
          },
        }),
      );
    }
  }

  return {
    observe(endpoint: ServiceEndpoint, durationMs: number, error: DormouseError | undefined) {
      const counted = stats.get(endpoint.command.name);
      if (!counted) return;
      counted.num_requests += 1;
      counted.processing_time += Math.round(durationMs * NS_PER_MS);
      if (error) {
        counted.num_errors += 1;
        counted.last_error = error.message;
      }
    },
    close() {
      for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

function averaged(stats: EndpointStats | undefined): object {
  if (!stats) return {};
  return {
    ...stats,
    average_processing_time:
      stats.num_requests === 0 ? 0 : Math.round(stats.processing_time / stats.num_requests),
  };
}

/** What a caller needs to know of an endpoint: a sentence, and both schemas where they are short. */
function endpointMetadata(endpoint: ServiceEndpoint | undefined): Record<string, string> {
  if (!endpoint) return {};
  const { summary, request, reply } = endpoint.command;
  const metadata: Record<string, string> = { summary };
  for (const [key, schema] of Object.entries({ request, reply })) {
    const text = JSON.stringify(schema);
    if (text.length <= MAX_SCHEMA_CHARS) metadata[key] = text;
  }
  return metadata;
}

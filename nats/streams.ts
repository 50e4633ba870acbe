import type { ConsumerConfig, StreamConfig } from '@nats-io/jetstream';
import { EVENT_SUBJECTS } from '../src/bus/subjects.ts';

/**
 * The streams, buckets and consumers of Dormouse as data. They are made when they are first needed; streams and
 * buckets are brought up to date when a field named here differs, a consumer that is there stays as it is. The number of replicas is not named: in a cluster, an operator sets it once
 * (`nats stream edit DORMOUSE_EVENTS --replicas 3`), and it stays.
 */
export type StreamDefinition = Partial<StreamConfig> & { name: string; subjects: string[] };

const SECOND_NS = 1_000_000_000;
const DAY_NS = 24 * 60 * 60 * SECOND_NS;

/** Every transition of every sandbox. History, not the record: that is each sandbox's own journal. */
export const eventStream: StreamDefinition = {
  name: 'DORMOUSE_EVENTS',
  subjects: [EVENT_SUBJECTS],
  storage: 'file',
  retention: 'limits',
  discard: 'old',
  max_age: 30 * DAY_NS,
  max_bytes: 1024 ** 3,
  /** How long a `Nats-Msg-Id` is remembered: an event that is sent again within it is stored once. */
  duplicate_window: 120 * SECOND_NS,
};

/** What is common to all durable consumers of the events. */
export const eventConsumer: Partial<ConsumerConfig> = {
  ack_policy: 'explicit',
  deliver_policy: 'all',
  /** One at a time: the next event is not delivered before this one is acknowledged, so a retry cannot be overtaken. */
  max_ack_pending: 1,
  /** When a consumer is lost, its event goes to the next one after this time; a handler that is at work says so. */
  ack_wait: 5 * SECOND_NS,
  max_deliver: -1,
};

/** The durable consumer that all projectors share: what it has acknowledged is in the records. */
export const PROJECTOR_CONSUMER = 'projector';

export const HOSTS_BUCKET = 'dormouse_hosts';

/**
 * The bucket of living hosts, as the stream that a KV bucket is (NATS ADR-8). The age limit is the TTL of an entry; it
 * works on every server version, where a TTL per key does not.
 *
 * @param ttlMs how long an entry lives after it was written, in milliseconds
 */
export function hostsBucketStream(ttlMs: number): StreamDefinition {
  return {
    name: `KV_${HOSTS_BUCKET}`,
    subjects: [`$KV.${HOSTS_BUCKET}.>`],
    storage: 'file',
    retention: 'limits',
    discard: 'new',
    max_msgs_per_subject: 1,
    max_age: ttlMs * 1_000_000,
    max_bytes: 64 * 1024 ** 2,
    allow_rollup_hdrs: true,
    allow_direct: true,
  };
}

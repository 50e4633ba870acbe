import { type KV, Kvm } from '@nats-io/kv';
import { HOSTS_BUCKET, hostsBucketStream } from '../../nats/streams.ts';
import { HostInfo } from '../actors/host/protocol.ts';
import { DormouseError, toDormouseError } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import { type Connection, unavailable } from './connection.ts';
import { decodeBody, encodeBody } from './envelope.ts';
import { problemsOf } from './schema.ts';
import { ensureStream, manager, once } from './streams.ts';
import type { HostDirectory } from './types.ts';

/** How long an entry lives after it was written, in milliseconds. Hosts write theirs about three times in that time. */
export const HOST_TTL_MS = 15_000;

/**
 * The directory of living hosts over a KV bucket. An entry goes by itself when it is not written again for its TTL, by
 * the server's clock. Expiry makes no watch event on any server version, so `list` asks for the keys each time.
 */
export function createHostDirectory(connection: Connection, log: Logger, ttlMs = HOST_TTL_MS): HostDirectory {
  const definition = hostsBucketStream(ttlMs);
  let bucket: KV | undefined;
  const made = once(async () => {
    await ensureStream(await manager(connection), definition);
    bucket = await new Kvm(connection.nc).open(HOSTS_BUCKET, { allow_direct: true });
  });

  /** Runs `work` on the bucket. What fails may fail because the bucket was lost, so it is made sure of again next time. */
  async function withBucket<T>(what: string, work: (kv: KV) => Promise<T>): Promise<T> {
    if (connection.status() !== 'connected') throw unavailable(`${what}: no connection.`);
    try {
      await made.done();
      if (!bucket) throw new DormouseError('INTERNAL', 'The bucket of hosts is not open.');
      return await work(bucket);
    } catch (error) {
      made.forget();
      if (error instanceof DormouseError) throw error;
      throw unavailable(`${what}; try again.`, error);
    }
  }

  async function read(kv: KV, hostId: string): Promise<HostInfo | undefined> {
    const entry = await kv.get(hostId);
    if (entry?.operation !== 'PUT') return undefined;
    try {
      const info = decodeBody(entry.value);
      const problems = problemsOf(HostInfo, info);
      if (problems.length === 0) return info as HostInfo;
      log.warn({ hostId, problems }, 'the entry of a host does not fit its schema and is left out');
    } catch (error) {
      log.warn(
        { hostId, err: toDormouseError(error) },
        'the entry of a host is not readable and is left out',
      );
    }
    return undefined;
  }

  return {
    async announce(info) {
      await withBucket('The host is not announced', (kv) => kv.put(info.host_id, encodeBody(info)));
    },
    async withdraw(hostId) {
      await withBucket('The host is not withdrawn', (kv) => kv.purge(hostId));
    },
    async list() {
      return withBucket('The hosts cannot be listed', async (kv) => {
        const jsm = await manager(connection);
        const { state } = await jsm.streams.info(definition.name, {
          subjects_filter: `$KV.${HOSTS_BUCKET}.>`,
        });
        const hostIds = Object.keys(state.subjects ?? {}).map((subject) =>
          subject.split('.').slice(2).join('.'),
        );
        const entries = await Promise.all(hostIds.sort().map((hostId) => read(kv, hostId)));
        return entries.filter((entry) => entry !== undefined);
      });
    },
  };
}

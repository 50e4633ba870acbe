import {
  type Authenticator,
  connect,
  type NatsConnection,
  nkeyAuthenticator,
  type TlsOptions,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node';
import { type NatsAddress, parseNatsUrl } from '../addresses.ts';
import type { Clock } from '../clock.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import type { Logger } from '../log.ts';
import type { BusStatus } from './types.ts';

export interface ConnectionOptions {
  /** One or more servers, separated by commas: `nats://user:password@host:4222,nats://other:4222`; `tls://` for TLS. */
  url: string;
  /** Shown by the server's monitoring, such as `dormouse-host h-abc`. */
  name: string;
  clock: Clock;
  log: Logger;
  /** Begins the subjects on which this process gets replies; permissions confine each process to its own. */
  inboxPrefix?: string;
  /** Seed of an nkey user (`SU…`), instead of a user and password in the URL. */
  nkeySeed?: Uint8Array;
  /** Certificates for TLS. */
  tls?: TlsOptions;
}

/** The connection to NATS and what is known of its state. Reconnects for ever. */
export interface Connection {
  readonly nc: NatsConnection;
  status(): BusStatus;
  /** Calls `changed` on each change of status. Returns an undo. */
  onStatus(changed: (status: BusStatus) => void): () => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MS = 250;
/** Spreads the reconnects of many processes after a server's restart. */
const RECONNECT_JITTER_MS = 500;
const PING_INTERVAL_MS = 10_000;

/**
 * @throws `BUS_UNAVAILABLE` when the first connection cannot be made, `CONFIG_INVALID` when the URL is not one of NATS
 */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { log, name } = options;
  const { servers, authenticator, tls } = targetOf(options);
  const nc = await connect({
    servers,
    name,
    timeout: CONNECT_TIMEOUT_MS,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    reconnectJitterTLS: RECONNECT_JITTER_MS,
    // A server that starts again may refuse for a moment; without this, two refusals end the connection for good.
    ignoreAuthErrorAbort: true,
    // A half-open connection is noticed after two missed pings.
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(authenticator ? { authenticator } : {}),
    ...(tls ? { tls } : {}),
    ...(options.inboxPrefix ? { inboxPrefix: options.inboxPrefix } : {}),
  }).catch((cause: unknown) => {
    throw new DormouseError(
      'BUS_UNAVAILABLE',
      `The NATS server at ${servers.join(', ')} does not accept the connection. Check that it runs and that credentials and certificates are right.`,
      { cause },
    );
  });

  let status: BusStatus = 'connected';
  const listeners = new Set<(status: BusStatus) => void>();
  function become(next: BusStatus): void {
    if (status === next || status === 'closed') return;
    status = next;
    for (const listener of [...listeners]) listener(next);
  }

  async function watch(): Promise<void> {
    for await (const event of nc.status()) {
      if (event.type === 'disconnect') {
        log.warn({ server: event.server }, 'the connection to NATS is lost; reconnecting');
        become('disconnected');
      } else if (event.type === 'reconnect') {
        log.info({ server: event.server }, 'connected to NATS again');
        become('connected');
      } else if (event.type === 'error') {
        // Such as a subject that the permissions do not allow; the server has ended that subscription.
        log.error({ err: event.error }, 'NATS reports an error');
      }
    }
  }
  void watch();
  void nc.closed().then((error) => {
    if (error) log.error({ err: error }, 'the connection to NATS is closed');
    become('closed');
  });

  return {
    nc,
    status: () => status,
    onStatus(changed) {
      listeners.add(changed);
      return () => void listeners.delete(changed);
    },
  };
}

/** The client takes servers without credentials, so user and password are taken out of the URL. */
function targetOf(options: ConnectionOptions): {
  servers: string[];
  authenticator: Authenticator | undefined;
  tls: TlsOptions | undefined;
} {
  const { servers, login, isTls } = addressOf(options.url);
  const byLogin = login && usernamePasswordAuthenticator(login.user, login.password);
  return {
    servers,
    authenticator: options.nkeySeed ? nkeyAuthenticator(options.nkeySeed) : byLogin,
    // With options, even empty ones, the client refuses a server without TLS before it sends anything.
    tls: options.tls ?? (isTls ? {} : undefined),
  };
}

function addressOf(url: string): NatsAddress {
  try {
    return parseNatsUrl(url);
  } catch (error) {
    throw new DormouseError('CONFIG_INVALID', `The address of the NATS server ${messageOf(error)}.`);
  }
}

/** The error of everything that needs a connection while there is none. */
export function unavailable(what: string, cause?: unknown): DormouseError {
  return new DormouseError('BUS_UNAVAILABLE', what, { cause });
}

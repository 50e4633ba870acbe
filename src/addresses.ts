import { isIP } from 'node:net';

/**
 * Addresses of other servers, as the settings give them. What is thrown says what an address must be, and nothing of the
 * address itself: it may hold a password.
 */

/** What an address of NATS says. */
export interface NatsAddress {
  /** Without users and passwords, such as `nats://host:4222`. */
  servers: string[];
  login: { user: string; password: string } | undefined;
  /** True when one of them asks for TLS (`tls://`): then nothing is sent to a server without it. */
  isTls: boolean;
}

const NATS_FORM =
  'must be one or more addresses such as nats://user:password@host:4222 or tls://host:4222, separated by commas; other signs than letters and digits are written as %XX in a user or password';
const DATABASE_FORM =
  'must look like postgresql://user:password@host/database or postgresql://user@/database?host=/folder/of/socket; other signs than letters and digits are written as %XX in a user or password';
const HTTP_FORM = 'must begin with http:// or https://, such as http://127.0.0.1:7070, and have no query';
const NETWORKS_FORM =
  'must be addresses or networks of proxies such as 10.0.0.1 or 192.168.0.0/16, separated by commas';

/**
 * Reads an address of NATS: `nats://user:password@host:4222,nats://other:4222`. The scheme may be left out.
 *
 * @throws `Error` that says what would be right
 */
export function parseNatsUrl(text: string): NatsAddress {
  const address: NatsAddress = { servers: [], login: undefined, isTls: false };
  for (const part of text.split(',')) {
    const url = urlOf(part.includes('://') ? part.trim() : `nats://${part.trim()}`);
    if (!url || !/^(nats|tls):$/.test(url.protocol) || !isHostOnly(url)) throw new Error(NATS_FORM);
    if (url.username)
      address.login ??= {
        user: decoded(url.username, NATS_FORM),
        password: decoded(url.password, NATS_FORM),
      };
    if (url.protocol === 'tls:') address.isTls = true;
    address.servers.push(`${url.protocol}//${url.host}`);
  }
  return address;
}

/**
 * Name of the database in an address of PostgreSQL. libpq's form without a host, `postgresql://user@/name?host=/folder`,
 * is no URL for WHATWG, so a host is put in.
 *
 * @throws `Error` that says what would be right
 */
export function databaseName(text: string): string {
  const url = urlOf(text.replace('@/', '@localhost/'));
  const name =
    url && /^postgres(ql)?:$/.test(url.protocol) ? decoded(url.pathname.slice(1), DATABASE_FORM) : '';
  if (!name) throw new Error(DATABASE_FORM);
  return name;
}

/**
 * Looks at an address of an edge. It may lie below a path.
 *
 * @throws `Error` that says what would be right
 */
export function checkHttpUrl(text: string): void {
  const url = urlOf(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) throw new Error(HTTP_FORM);
}

/**
 * Reads addresses and networks, separated by commas: `10.0.0.1,192.168.0.0/16,fd00::/8`.
 *
 * @throws `Error` that says what would be right
 */
export function parseNetworks(text: string): string[] {
  const networks = text.split(',').map((part) => part.trim());
  if (!networks.every(isNetwork)) throw new Error(NETWORKS_FORM);
  return networks;
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

function urlOf(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** True when nothing follows the host, as a part of a password does that has a `/` in it. */
function isHostOnly({ host, pathname, search, hash }: URL): boolean {
  return host !== '' && /^\/?$/.test(pathname) && search === '' && hash === '';
}

function decoded(text: string, form: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(form);
  }
}

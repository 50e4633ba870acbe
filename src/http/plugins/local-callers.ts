import type { FastifyRequest } from 'fastify';
import { DormouseError } from '../../errors/index.ts';
import { isLoopback } from '../../loopback.ts';

/**
 * Keeps web pages away from an edge that asks for no key. It listens on this machine only, but so does a browser that
 * shows a page from elsewhere:
 *
 * - A page whose own name was made to lead here (DNS rebinding) sends that name as `Host`.
 * - A page of another site (CSRF) sends its `Origin` with everything that could change something, and with what it could read.
 * - What such a page only loads, as an image, has no `Origin`; browsers say in `Sec-Fetch-Site` where it comes from.
 *
 * @throws `FORBIDDEN`
 */
export function requireLocalCaller({ headers }: FastifyRequest): void {
  const { host, origin, 'sec-fetch-site': site } = headers;
  if (host === undefined || !isLoopback(hostnameOf(`http://${host}`)))
    throw new DormouseError(
      'FORBIDDEN',
      'This edge asks for no key, so it answers only those who call it by a name of this machine, such as 127.0.0.1 or localhost.',
    );
  const isForeign = site === 'cross-site' || site === 'same-site';
  if (isForeign || (origin !== undefined && origin !== `http://${host}`))
    throw new DormouseError('FORBIDDEN', 'This edge asks for no key, so it answers no web page but its own.');
}

function hostnameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}

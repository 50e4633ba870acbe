import type { FastifyRequest } from 'fastify';
import { DormouseError } from '../../errors/index.ts';
import type { Principal } from '../../records/types.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { KeyCache } from './key-cache.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends the request; undefined on routes without a key. Set by `addAuth`. */
    principal: Principal | undefined;
  }
}

/** Longest key that is looked at, in characters; ours have 43. */
const KEY_CHARS_MAX = 512;

/**
 * Finds out who sends a request, before its body is read, and refuses it unless the key has the scope that the route
 * declares. Routes without rules (`rules.ts`) need no key.
 */
export function addAuth(app: EdgeApp, { records, clock, log }: EdgePorts): void {
  const keys = new KeyCache(records, clock, log);
  app.decorateRequest('principal', undefined);
  app.addHook('onRequest', async (request) => {
    const { rules } = request.routeOptions.config;
    if (!rules) return;
    const principal = await keys.ownerOf(keyOf(request), request.ip);
    request.principal = principal;
    if (!principal.scopes.includes(rules.scope))
      throw new DormouseError('FORBIDDEN', `The API key does not have the scope "${rules.scope}".`, {
        data: { scope: rules.scope },
      });
  });
}

/** Who sends the request. Only for handlers of routes with rules: others have nobody. */
export function principalOf({ principal }: FastifyRequest): Principal {
  if (!principal) throw new DormouseError('INTERNAL', 'The route asks who its caller is, but takes no key.');
  return principal;
}

function keyOf({ headers }: FastifyRequest): string {
  const bearer = /^Bearer +([^\s]+)$/i.exec(headers.authorization ?? '')?.[1];
  const key = bearer ?? headers['x-api-key'];
  if (typeof key !== 'string' || key === '' || key.length > KEY_CHARS_MAX)
    throw new DormouseError(
      'UNAUTHENTICATED',
      'Send the API key as "Authorization: Bearer KEY" or as "X-API-Key: KEY".',
    );
  return key;
}

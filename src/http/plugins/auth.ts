import type { FastifyRequest } from 'fastify';
import { KEY_CHARS_MAX } from '../../api-key.ts';
import { DormouseError } from '../../errors/index.ts';
import { DEFAULT_TEAM_ID } from '../../ids.ts';
import type { Principal, Scope } from '../../records/types.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { KeyCache } from './key-cache.ts';
import { requireLocalCaller } from './local-callers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends the request; undefined on routes without a key. Set by `addAuth`. */
    principal: Principal | undefined;
    /** Whether a key was sent, whosever it is. Set by `addAuth`; false where none is asked for. */
    hasKey: boolean;
  }
}

/** Who everybody is when no key is asked for. */
export const NOBODY_IN_PARTICULAR: Principal = {
  keyId: 'none',
  keyName: null,
  teamId: DEFAULT_TEAM_ID,
  scopes: ['read', 'write', 'admin'],
  expiresAt: null,
};

/**
 * Finds out who sends a request, before its body is read, and refuses it unless the key has the scope that the route
 * declares. Routes without rules (`rules.ts`) need no key. Returns the cache of keys, for whoever revokes one.
 *
 * With `auth: 'none'` everybody who can reach the edge is the default team with every scope. Then web pages are kept out:
 * a browser on this machine can reach it, too.
 */
export function addAuth(app: EdgeApp, { records, clock, log, auth = 'keys' }: EdgePorts): KeyCache {
  const keys = new KeyCache(records, clock, log);
  app.decorateRequest('principal', undefined);
  app.decorateRequest('hasKey', false);
  app.addHook('onRequest', async (request) => {
    const { rules } = request.routeOptions.config;
    if (!rules) return;
    if (auth === 'none') {
      requireLocalCaller(request);
      request.principal = NOBODY_IN_PARTICULAR;
    } else {
      const key = keyOf(request);
      request.hasKey = true;
      request.principal = await keys.ownerOf(key, request.ip);
    }
    if (rules.scope !== 'any') requireScope(request, rules.scope);
  });
  return keys;
}

/** Who sends the request. Only for handlers of routes with rules: others have nobody. */
export function principalOf({ principal }: FastifyRequest): Principal {
  if (!principal) throw new DormouseError('INTERNAL', 'The route asks who its caller is, but takes no key.');
  return principal;
}

/** Refuses a request whose key does not have the scope. Throws `FORBIDDEN`. */
export function requireScope(request: FastifyRequest, scope: Scope): void {
  if (!principalOf(request).scopes.includes(scope))
    throw new DormouseError('FORBIDDEN', `The API key does not have the scope "${scope}".`, {
      data: { scope },
    });
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

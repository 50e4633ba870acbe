import type { FastifyRequest, RouteOptions } from 'fastify';
import { sandboxSubject } from '../../bus/subjects.ts';
import { catalogue, DormouseError, type ErrorCode } from '../../errors/index.ts';
import { isSandboxId } from '../../ids.ts';
import type { Scope } from '../../records/types.ts';
import type { EdgeApp } from '../ports.ts';
import { PROBLEM_TYPE } from '../problem.ts';
import { principalOf } from './auth.ts';

/** What a route that takes a key declares. */
export interface RouteRules {
  /** The scope that the key must have. */
  scope: Scope;
  /**
   * What must belong to the key's team: `sandbox`, the one that the path names (the handler gets it from `sandboxOf`), or
   * `team`, all that the handler reads or makes.
   */
  owner: 'sandbox' | 'team';
  /** Every error that the route can answer with. */
  errors: readonly ErrorCode[];
}

declare module 'fastify' {
  interface FastifyContextConfig {
    rules?: RouteRules;
  }
}

/** A sandbox in the address space of the team that asks for it: no other can be named. */
export interface OwnSandbox {
  teamId: string;
  id: string;
  /** Where its actor listens; a command's name follows. */
  subject: string;
}

/**
 * Holds every route under `/v1` to declare its schema and its rules, adds the answers for its errors to the schema, and
 * lets nobody reach a sandbox by an id that cannot be one. Must be called before the first route is added.
 */
export function addRules(app: EdgeApp): void {
  app.addHook('onRoute', (route) => {
    if (!route.url.startsWith('/v1')) return;
    const rules = checkedRules(route);
    route.schema = {
      ...route.schema,
      response: { ...(route.schema?.response as object), ...errorResponses(rules.errors) },
    };
  });
  app.addHook('preValidation', async (request) => {
    if (request.routeOptions.config.rules?.owner === 'sandbox') sandboxOf(request);
  });
}

/** The sandbox that the path names. Throws `SANDBOX_NOT_FOUND` when no sandbox can have that id. */
export function sandboxOf(request: FastifyRequest): OwnSandbox {
  const { teamId } = principalOf(request);
  const { id } = request.params as { id: string };
  if (!isSandboxId(id)) throw sandboxNotFound();
  return { teamId, id, subject: sandboxSubject(teamId, id) };
}

/** The one answer for a sandbox that is not there and for one of another team, so that they cannot be told apart. */
export function sandboxNotFound(): DormouseError {
  return new DormouseError('SANDBOX_NOT_FOUND', 'There is no sandbox with this id.');
}

function checkedRules({ method, url, schema, config }: RouteOptions): RouteRules {
  const rules = config?.rules;
  const isMissing = (what: string): never => {
    throw new TypeError(`The route ${String(method)} ${url} declares no ${what}.`);
  };
  if (!rules) return isMissing('rules (scope, owner, errors)');
  if (!schema?.response) return isMissing('schema of its answer');
  if (!schema.summary || !schema.operationId) return isMissing('summary and operationId');
  if (url.includes(':id') !== (rules.owner === 'sandbox')) return isMissing('owner that fits its path');
  return rules;
}

/** The answers for these errors as OpenAPI has them: by status, each with its codes. */
export function errorResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...new Set(codes)]) {
    const { status } = catalogue[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, all]) => [
      status,
      {
        description: all.map((code) => `\`${code}\`: ${catalogue[code].title}.`).join(' '),
        content: {
          [PROBLEM_TYPE]: {
            schema: {
              allOf: [{ $ref: 'Problem#' }, { type: 'object', properties: { code: { enum: all } } }],
            },
          },
        },
      },
    ]),
  );
}

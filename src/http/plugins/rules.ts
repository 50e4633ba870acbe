import type { FastifyRequest, RouteOptions } from 'fastify';
import { sandboxSubject } from '../../bus/subjects.ts';
import { catalogue, DormouseError, type ErrorCode } from '../../errors/index.ts';
import { isSandboxId, TEMPLATE_NAME_PATTERN } from '../../ids.ts';
import type { Scope } from '../../records/types.ts';
import type { EdgeApp } from '../ports.ts';
import { PROBLEM_TYPE } from '../problem.ts';
import { principalOf } from './auth.ts';

/** What a route that takes a key declares. */
export interface RouteRules {
  /** The scope that the key must have; `any`: a key with whatever scopes. */
  scope: Scope | 'any';
  /**
   * What must belong to the key's team:
   *
   * - `sandbox`, the one that the path names; the handler gets it from `sandboxOf`;
   * - `template` or `snapshot`, the one that the path names; the handler gets its name from `templateNameOf`;
   * - `team`, all that the handler reads or makes;
   * - `admin`: nothing; the route is for those who look after the installation, and asks for the scope `admin`.
   */
  owner: 'sandbox' | 'template' | 'snapshot' | 'team' | 'admin';
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

/** What a path is about, by what it begins with; the first that fits counts. */
const OWNERS: ReadonlyArray<readonly [form: RegExp, owner: RouteRules['owner']]> = [
  [/^\/v1\/admin(\/|$)/, 'admin'],
  [/^\/v1\/sandboxes\/:id(\/|$)/, 'sandbox'],
  [/^\/v1\/templates\/:name(\/|$)/, 'template'],
  [/^\/v1\/snapshots\/:name(\/|$)/, 'snapshot'],
  // The same for everybody.
  [/^\/v1\/machines\/:kind(\/|$)/, 'team'],
  [/^[^:*]*$/, 'team'],
];

const templateName = new RegExp(TEMPLATE_NAME_PATTERN);

/**
 * Holds every route under `/v1` to declare its schema and its rules, adds the answers for its errors to the schema, and
 * lets nobody reach a sandbox or a template by a name that cannot be one. Must be called before the first route is added.
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
    const owner = request.routeOptions.config.rules?.owner;
    if (owner === 'sandbox') sandboxOf(request);
    if (owner === 'template' || owner === 'snapshot') templateNameOf(request);
  });
}

/** The sandbox that the path names. Throws `SANDBOX_NOT_FOUND` when no sandbox can have that id. */
export function sandboxOf(request: FastifyRequest): OwnSandbox {
  const { id } = request.params as { id: string };
  return ownSandbox(request, id);
}

/** A sandbox of the key's team. Throws `SANDBOX_NOT_FOUND` when no sandbox can have that id. */
export function ownSandbox(request: FastifyRequest, id: string): OwnSandbox {
  const { teamId } = principalOf(request);
  if (!isSandboxId(id)) throw sandboxNotFound();
  return { teamId, id, subject: sandboxSubject(teamId, id) };
}

/** The one answer for a sandbox that is not there and for one of another team, so that they cannot be told apart. */
export function sandboxNotFound(): DormouseError {
  return new DormouseError('SANDBOX_NOT_FOUND', 'There is no sandbox with this id.');
}

/**
 * The name of the template or snapshot that the path names. It says nothing of whose it is: the records are asked for one
 * of a team.
 *
 * @throws `TEMPLATE_NOT_FOUND` or `SNAPSHOT_NOT_FOUND` when none can have that name
 */
export function templateNameOf(request: FastifyRequest): string {
  const { name } = request.params as { name: string };
  if (templateName.test(name)) return name;
  throw request.routeOptions.config.rules?.owner === 'snapshot' ? snapshotNotFound() : templateNotFound();
}

/** The one answer for a template that is not there and for one of another team. */
export function templateNotFound(): DormouseError {
  return new DormouseError(
    'TEMPLATE_NOT_FOUND',
    'There is no template of this name. `GET /v1/templates` lists those that you can use.',
  );
}

/** The one answer for a snapshot that is not there and for one of another team. */
export function snapshotNotFound(): DormouseError {
  return new DormouseError(
    'SNAPSHOT_NOT_FOUND',
    'There is no snapshot of this name. `GET /v1/snapshots` lists those of your team.',
  );
}

function checkedRules({ method, url, schema, config }: RouteOptions): RouteRules {
  const rules = config?.rules;
  const isMissing = (what: string): never => {
    throw new TypeError(`The route ${String(method)} ${url} declares no ${what}.`);
  };
  if (!rules) return isMissing('rules (scope, owner, errors)');
  if (!schema?.response) return isMissing('schema of its answer');
  if (!schema.summary || !schema.operationId) return isMissing('summary and operationId');
  if (url.includes(':') && !schema.params) return isMissing('schema of its path');
  const owner = OWNERS.find(([form]) => form.test(url))?.[1];
  if (rules.owner !== owner) return isMissing('owner that fits its path');
  if ((rules.owner === 'admin') !== (rules.scope === 'admin')) return isMissing('scope that fits its owner');
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

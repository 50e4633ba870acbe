import { DormouseError } from '../../errors/index.ts';
import type { EdgeApp } from '../ports.ts';
import { sendProblem } from './errors.ts';

interface KnownRoute {
  path: RegExp;
  methods: Set<string>;
}

/**
 * Answers requests that no route takes: a path that is known under other methods with 405 and `Allow`, or with 204 and
 * `Allow` when the method is OPTIONS; any other path with 404. Must be called before the first route is added.
 */
export function addMethods(app: EdgeApp): void {
  const known = new Map<string, KnownRoute>();
  app.addHook('onRoute', ({ url, method }) => {
    const route = known.get(url) ?? { path: patternOf(url), methods: new Set(['OPTIONS']) };
    for (const name of [method].flat()) route.methods.add(name);
    known.set(url, route);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.replace(/\?.*/s, '');
    const methods = [...known.values()]
      .filter((route) => route.path.test(path))
      .flatMap((r) => [...r.methods]);
    // A route of files takes the method, and has no file of that name.
    const isTaken = request.method !== 'OPTIONS' && methods.includes(request.method);
    if (methods.length === 0 || isTaken) {
      return sendProblem(
        new DormouseError('ROUTE_NOT_FOUND', 'There is no such route. /openapi.json lists them.'),
        request,
        reply,
      );
    }
    const allow = [...new Set(methods)].sort();
    reply.header('allow', allow.join(', '));
    if (request.method === 'OPTIONS') return reply.code(204).send();
    return sendProblem(
      new DormouseError('METHOD_NOT_ALLOWED', `This route takes ${allow.join(', ')}.`, { data: { allow } }),
      request,
      reply,
    );
  });
}

/** A route's pattern, such as `/v1/sandboxes/:id` or `/docs/*`, as an expression for paths. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part.startsWith(':')) return '[^/]+';
    return part === '*' ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}

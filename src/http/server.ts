import { maxHeaderSize } from 'node:http';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { DormouseError } from '../errors/index.ts';
import { addAuth } from './plugins/auth.ts';
import { addBodies } from './plugins/bodies.ts';
import { addCallers } from './plugins/callers.ts';
import { addErrors, answerBadConnection, sendProblem } from './plugins/errors.ts';
import { addMethods } from './plugins/methods.ts';
import { addOpenapi } from './plugins/openapi.ts';
import { addRequests, requestIdOf } from './plugins/requests.ts';
import { addRules } from './plugins/rules.ts';
import type { EdgeApp, EdgePorts } from './ports.ts';
import { addCommandRoutes } from './routes/commands.ts';
import { addExecRoute } from './routes/exec.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addSandboxRoutes } from './routes/sandboxes.ts';
import { addTemplateRoute } from './routes/templates.ts';
import { addTestPage } from './routes/test-page.ts';
import { addTransitionRoute } from './routes/transitions.ts';

/** Largest body of a route that says nothing else, in bytes. */
const BODY_BYTES_MAX = 256 * 1024;
/** How long a caller may take to send its headers, and a whole request, in milliseconds. Answers may take as long as they need. */
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 60_000;
/** How long a connection without a request is kept, in milliseconds: longer than load balancers do, so that they close it. */
const IDLE_MS_MAX = 72_000;
const DRAIN_MS = 10_000;

/**
 * Makes an edge: HTTP in front of the bus and the records. It listens with `listenEdge`; `close()` takes no more
 * connections, waits for the requests that are under way, and cancels those that take longer than `drainMs`.
 */
export async function createEdge(ports: EdgePorts): Promise<EdgeApp> {
  const { clock, log, version, drainMs = DRAIN_MS } = ports;
  const app: EdgeApp = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    requestIdHeader: false,
    trustProxy: false,
    bodyLimit: BODY_BYTES_MAX,
    // The size of all headers bounds a path; what an id is, the routes say.
    routerOptions: { maxParamLength: maxHeaderSize },
    requestTimeout: REQUEST_MS_MAX,
    http: { headersTimeout: HEADERS_MS_MAX },
    keepAliveTimeout: IDLE_MS_MAX,
    // A request that came on an open connection before its end was known is served as the others.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: answerBadConnection,
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
      sendProblem(error, request, reply);
    },
  });
  addRequests(app);
  addCallers(app, clock, drainMs);
  addErrors(app);
  addMethods(app);
  addBodies(app);
  addAuth(app, ports);
  addRules(app);
  await addOpenapi(app, version);

  addSandboxRoutes(app, ports);
  addCommandRoutes(app, ports);
  addExecRoute(app, ports);
  addTransitionRoute(app, ports);
  addTemplateRoute(app, ports);
  addHealthRoutes(app, ports);
  await addTestPage(app);
  await app.ready();
  return app;
}

/**
 * Listens and returns the address, such as `http://127.0.0.1:7070`.
 *
 * @param at.port 0 for any free one
 * @throws `PORT_IN_USE`; `CONFIG_INVALID` when the address is not one of this machine or the port is not allowed
 */
export async function listenEdge(app: EdgeApp, at: { host: string; port: number }): Promise<string> {
  try {
    return await app.listen(at);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new DormouseError(
        'PORT_IN_USE',
        `Port ${at.port} of ${at.host} is in use. Choose another one with DORMOUSE_HTTP_PORT (0: any free one), or stop what uses it.`,
        { data: { host: at.host, port: at.port }, cause },
      );
    throw new DormouseError(
      'CONFIG_INVALID',
      `The edge cannot listen on port ${at.port} of ${at.host} (${code}). See DORMOUSE_HTTP_HOST and DORMOUSE_HTTP_PORT.`,
      { data: { host: at.host, port: at.port }, cause },
    );
  }
}

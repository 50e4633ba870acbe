import { maxHeaderSize } from 'node:http';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { DormouseError } from '../errors/index.ts';
import { EventStreams } from './event-stream.ts';
import { addAudit } from './plugins/audit.ts';
import { addAuth } from './plugins/auth.ts';
import { answerBadConnection, HEADERS_MS_MAX } from './plugins/bad-connections.ts';
import { addBodies } from './plugins/bodies.ts';
import { addCallers } from './plugins/callers.ts';
import { addConnections } from './plugins/connections.ts';
import { addErrors, sendProblem } from './plugins/errors.ts';
import { addMethods } from './plugins/methods.ts';
import { addOpenapi } from './plugins/openapi.ts';
import { addRequests, requestIdOf } from './plugins/requests.ts';
import { addRules } from './plugins/rules.ts';
import { addSlowBodies } from './plugins/slow-bodies.ts';
import type { EdgeApp, EdgePorts } from './ports.ts';
import { addAdminRoutes } from './routes/admin/index.ts';
import { addCommandRoutes } from './routes/commands.ts';
import { addEventsRoute } from './routes/events.ts';
import { addExecRoute } from './routes/exec.ts';
import { addFleetRoutes } from './routes/fleet.ts';
import { addForkRoute } from './routes/forks.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addInspectionRoutes } from './routes/inspection.ts';
import { addMachineRoutes } from './routes/machines.ts';
import { addMeRoute } from './routes/me.ts';
import { addPages } from './routes/pages.ts';
import { addResizeRoute } from './routes/resize.ts';
import { addSandboxRoutes } from './routes/sandboxes.ts';
import { addSnapshotRoutes } from './routes/snapshots.ts';
import { addTemplateUpload } from './routes/template-upload.ts';
import { addTemplateRoutes } from './routes/templates.ts';
import { addTransitionRoute } from './routes/transitions.ts';
import { addUsageRoute } from './routes/usage.ts';

/** Largest body of a route that says nothing else, in bytes. */
const BODY_BYTES_MAX = 256 * 1024;
/** How long a connection without a request is kept, in milliseconds: longer than load balancers do, so that they close it. */
const IDLE_MS_MAX = 72_000;
const DRAIN_MS = 10_000;

/**
 * Makes an edge: HTTP in front of the bus and the records. It listens with `listenEdge`; `close()` takes no more
 * connections, waits for the requests that are under way, and cancels those that take longer than `drainMs`.
 */
export async function createEdge(ports: EdgePorts): Promise<EdgeApp> {
  const { clock, log, version, drainMs = DRAIN_MS, trustedProxies = [] } = ports;
  const app: EdgeApp = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    requestIdHeader: false,
    // Whoever else sends X-Forwarded-For could take any address.
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    bodyLimit: BODY_BYTES_MAX,
    // The size of all headers bounds a path; what an id is, the routes say.
    routerOptions: { maxParamLength: maxHeaderSize },
    // How long a body may take is the matter of `slow-bodies.ts`: an upload may take longer than others.
    requestTimeout: 0,
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
  addConnections(app);
  addErrors(app);
  addMethods(app);
  addSlowBodies(app, clock);
  addBodies(app);
  const keys = addAuth(app, ports);
  addRules(app);
  addAudit(app, ports);
  await addOpenapi(app, version);
  const streams = new EventStreams(clock, log);
  // An edge that stops waits for answers that come to their end; streams do not.
  app.addHook('preClose', async () => streams.close());

  addSandboxRoutes(app, ports);
  addCommandRoutes(app, ports);
  addExecRoute(app, ports);
  addTransitionRoute(app, ports);
  addInspectionRoutes(app, ports, streams);
  addForkRoute(app, ports);
  addResizeRoute(app, ports);
  addTemplateRoutes(app, ports);
  await addTemplateUpload(app, ports);
  addSnapshotRoutes(app, ports);
  addAdminRoutes(app, ports, keys, streams);
  addHealthRoutes(app, ports);
  addMachineRoutes(app);
  addFleetRoutes(app, ports, streams);
  addEventsRoute(app, ports);
  addUsageRoute(app, ports);
  addMeRoute(app, ports);
  await addPages(app, ports);
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

import type { EventStreams } from '../../event-stream.ts';
import type { KeyCache } from '../../plugins/key-cache.ts';
import type { EdgeApp, EdgePorts } from '../../ports.ts';
import { addAuditRoute } from './audit.ts';
import type { Forget } from './forget.ts';
import { addHostRoutes } from './hosts.ts';
import { addKeyRoutes } from './keys.ts';
import { addTeamRoutes } from './teams.ts';
import { addAdminTemplateRoute } from './templates.ts';

/** The routes for those who look after the installation. They belong to no team, and their key needs the scope `admin`. */
export function addAdminRoutes(app: EdgeApp, ports: EdgePorts, keys: KeyCache, streams: EventStreams): void {
  const forget: Forget = (isGone) => {
    keys.forget(isGone);
    streams.endOf(isGone);
  };
  addTeamRoutes(app, ports, forget);
  addKeyRoutes(app, ports, forget);
  addAdminTemplateRoute(app, ports);
  addAuditRoute(app, ports);
  addHostRoutes(app, ports, streams);
}

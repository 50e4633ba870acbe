import {
  inspectionOf,
  type Occurrence,
  type Showing,
  shownCommand,
  shownError,
  takenBy,
} from '../system/inspect.ts';
import type { Inspection } from '../system/inspection.ts';
import type { HostContext } from './machine.ts';

/** The commands of callers that are events of the host's machine. */
export const HOST_MACHINE_COMMANDS = ['drain'] as const;

const SHOWN: Showing<HostContext> = {
  hostId: null,
  command: shownCommand,
  error: (error) => ({ error: error && shownError(error) }),
  notLetGo: (error) => ({ notLetGo: error && shownError(error) }),
};

/** What happened to a host, as it is shown. */
export function hostInspection(occurrence: Occurrence<HostContext>): Inspection {
  const { record, snapshot } = occurrence.transition;
  const { hostId } = record.context;
  return inspectionOf(
    occurrence,
    {
      ...{ kind: 'host', id: hostId, team_id: null, host_id: hostId, execution: null },
      allowed: takenBy(snapshot, HOST_MACHINE_COMMANDS),
    },
    SHOWN,
  );
}

import path from 'node:path';
import {
  inspectionOf,
  type Occurrence,
  type Showing,
  shownCommand,
  shownError,
  takenBy,
} from '../system/inspect.ts';
import type { Inspection } from '../system/inspection.ts';
import type { RegistryContext } from './machine.ts';

/** The commands that are events of the registry's machine. */
export const REGISTRY_MACHINE_COMMANDS = ['acquire', 'release', 'leaks'] as const;

const SHOWN: Showing<RegistryContext> = {
  command: shownCommand,
  loops: (loops) => ({
    loops: loops.map(({ device, image, holders }) => ({ device, image: imageName(image), holders })),
  }),
  image: (image) => ({ image: image === '' ? null : imageName(image) }),
  holder: (holder) => ({ holder: holder === '' ? null : holder }),
  error: (error) => ({ error: error && shownError(error) }),
  reply: null,
};

/** What happened to a host's loop registry, as it is shown. */
export function registryInspection(occurrence: Occurrence<RegistryContext>, hostId: string): Inspection {
  return inspectionOf(
    occurrence,
    {
      ...{ kind: 'loop-registry', id: hostId, team_id: null, host_id: hostId, execution: null },
      allowed: takenBy(occurrence.transition.snapshot, REGISTRY_MACHINE_COMMANDS),
    },
    SHOWN,
  );
}

/** An image without where it is on the host: all are called the same, in a folder for each. */
export function imageName(image: string): string {
  return path.join(path.basename(path.dirname(image)), path.basename(image));
}

import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Compile } from 'typebox/compile';
import type { HostInfo } from '../actors/host/protocol.ts';
import { hostCommands } from '../actors/host/protocol.ts';
import { BuildProgress, type BuildTemplate, type TemplateDetails } from '../actors/host/template-protocol.ts';
import { hostSubject, ioSubject } from '../bus/subjects.ts';
import { DormouseError } from '../errors/index.ts';
import type { TemplateRecord } from '../records/types.ts';
import { commandIdOf, requestOptionsOf } from './commands.ts';
import type { EdgePorts } from './ports.ts';

/** Told of what is being done, for a caller who watches. */
export type OnProgress = (progress: BuildProgress) => void;

const isProgress = Compile(BuildProgress);

/**
 * Has a host build a template, and passes on what it says meanwhile. A caller that hangs up cancels the build, unless it
 * sent an `Idempotency-Key`.
 *
 * @throws what the host throws
 */
export async function buildOn(
  { bus }: EdgePorts,
  request: FastifyRequest,
  hostId: string,
  body: BuildTemplate,
  progress?: OnProgress,
): Promise<TemplateDetails> {
  const { buildTemplate } = hostCommands;
  const commandId = commandIdOf(request, `template ${body.team_id} ${body.spec.name}`, buildTemplate);
  const watching =
    progress &&
    bus.subscribe(ioSubject(commandId, 'stdout'), (bytes) => {
      for (const line of progressOf(bytes)) progress(line);
    });
  try {
    return await bus.request(`${hostSubject(hostId)}.${buildTemplate.name}`, buildTemplate, body, {
      commandId,
      ...requestOptionsOf(request),
    });
  } finally {
    watching?.close();
  }
}

/** The lines of a message that are progress. What a newer host says besides is left out. */
function progressOf(bytes: Uint8Array): BuildProgress[] {
  return Buffer.from(bytes)
    .toString()
    .split('\n')
    .map((line): unknown => {
      try {
        return JSON.parse(line);
      } catch {
        return undefined;
      }
    })
    .filter((value): value is BuildProgress => isProgress.Check(value));
}

/** With less free disk than this, in MiB, a host is chosen only when all others have less, too. */
const LITTLE_FREE_MB = 4_096;

/**
 * The host to build a template on: the one that has the template which it replaces, else one that follows from the team and the name.
 * So a request that comes again, or another one for the same name, finds the build of the first; what changes by the minute, as
 * the free disk does, does not count while there is enough. A host that goes moves only the names that were its own.
 *
 * @param before the template that it replaces, as the records know it
 * @param wanted whose template it will be, and its name
 * @throws `NO_HOST_AVAILABLE`, `HOST_UNREACHABLE`, `HOST_DRAINING`
 */
export function chooseHost(
  hosts: readonly HostInfo[],
  before: TemplateRecord | undefined,
  wanted: { teamId: string; name: string },
): string {
  if (before) {
    const keeper = hosts.find(({ host_id }) => host_id === before.hostId);
    if (!keeper)
      throw new DormouseError(
        'HOST_UNREACHABLE',
        'The host that has the template of this name does not answer, so it cannot be replaced now. Try again.',
      );
    if (keeper.state !== 'ready')
      throw new DormouseError(
        'HOST_DRAINING',
        'The host that has the template of this name takes nothing new. Delete the template first, or build it under another name.',
      );
    return keeper.host_id;
  }
  const ready = hosts.filter(({ state }) => state === 'ready');
  const roomy = ready.filter(({ capacity }) => capacity.disk_free_mb >= LITTLE_FREE_MB);
  const [best] = (roomy.length > 0 ? roomy : ready)
    .map(({ host_id }) => ({ host_id, weight: weightOf(host_id, wanted) }))
    .sort((one, other) => (one.weight < other.weight ? -1 : 1));
  if (best) return best.host_id;
  throw new DormouseError(
    'NO_HOST_AVAILABLE',
    'No host is there, or none is ready. `dormouse host list` shows them.',
  );
}

/** Rendezvous hashing: of all hosts, the one with the least weight has the template. */
function weightOf(hostId: string, { teamId, name }: { teamId: string; name: string }): string {
  return createHash('sha256').update(`${hostId}\n${teamId}\n${name}`).digest('hex');
}

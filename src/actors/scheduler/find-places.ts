import { DormouseError, hasCode } from '../../errors/index.ts';
import type { HostInfo } from '../host/protocol.ts';
import type { CommandContext } from '../system/command.ts';
import { templateNameOf } from './options.ts';
import { type Offer, offersOf, type Place, rankPlaces, templateNames } from './placement.ts';
import type { SchedulerPorts } from './ports.ts';
import type { ScheduleSandbox } from './protocol.ts';

/** Longest wait for what a host says of itself, in milliseconds: who does not answer by then takes no sandbox either. */
const ASK_MS = 2_000;

/**
 * Where the sandbox can be made, best first, at least one place.
 *
 * @throws `TEMPLATE_NOT_FOUND` with the names that there are; `NO_HOST_AVAILABLE` when no host lives, or those that have the
 * template are not ready or do not live; `INVALID_SIZE`
 */
export async function findPlaces(
  { team_id, options }: ScheduleSandbox,
  context: CommandContext,
  ports: SchedulerPorts,
): Promise<Place[]> {
  const name = templateNameOf(options);
  let hosts = await ports.hosts();
  if (hosts.length === 0)
    throw new DormouseError('NO_HOST_AVAILABLE', 'No host is there. `dormouse host list` shows them.');
  let offers = offersOf(hosts, team_id, name);
  if (offers.length === 0) {
    // The directory is a moment behind a template that was just built.
    hosts = await askAll(hosts, context, ports);
    offers = offersOf(hosts, team_id, name);
  }
  if (offers.length === 0) throw await notFound(hosts, team_id, name, ports);
  const places = rankPlaces(offers, options);
  if (places.length === 0) throw notReady(offers, name);
  return places;
}

/** What the hosts say of themselves now; one that does not answer, what it said last. */
async function askAll(
  hosts: readonly HostInfo[],
  context: CommandContext,
  { hostInfo, clock }: SchedulerPorts,
): Promise<HostInfo[]> {
  const soon = { ...context, deadlineMs: Math.min(context.deadlineMs, clock.nowMs() + ASK_MS) };
  return await Promise.all(
    hosts.map((host) =>
      hostInfo(host.host_id, soon).catch((error: unknown) => {
        context.signal.throwIfAborted();
        if (!hasCode(error, 'HOST_UNREACHABLE') && !hasCode(error, 'DEADLINE_EXCEEDED')) throw error;
        return host;
      }),
    ),
  );
}

/** Why nobody has the template: its host may be away, and come back. */
async function notFound(
  hosts: readonly HostInfo[],
  teamId: string,
  name: string,
  { hostOfTemplate }: SchedulerPorts,
): Promise<DormouseError> {
  const keeper = await hostOfTemplate(teamId, name);
  if (keeper && !hosts.some(({ host_id }) => host_id === keeper))
    return new DormouseError(
      'NO_HOST_AVAILABLE',
      `The template "${name}" is kept by the host ${keeper}, which does not answer. Try again when it is back.`,
    );
  const names = templateNames(hosts, teamId);
  return new DormouseError(
    'TEMPLATE_NOT_FOUND',
    `There is no template "${name}". There are: ${names.join(', ') || 'none'}.`,
    { data: { template: name } },
  );
}

function notReady(offers: readonly Offer[], name: string): DormouseError {
  const states = offers.map(({ host }) => `${host.host_id} is ${host.state}`);
  return new DormouseError(
    'NO_HOST_AVAILABLE',
    `No host that has the template "${name}" is ready: ${states.join(', ')}. \`dormouse host list\` shows them.`,
  );
}

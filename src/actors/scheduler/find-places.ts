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
 * @throws `TEMPLATE_NOT_FOUND` with the names that there are; `NO_HOST_AVAILABLE` when no host lives, one that may have the template
 * does not say, or those that have it are not ready or do not live; `INVALID_SIZE`
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
    const { said, silent } = await askAll(hosts, context, ports);
    offers = offersOf(said, team_id, name);
    if (offers.length === 0 && silent.length > 0) throw unknownTo(silent, name);
    hosts = said;
  }
  if (offers.length === 0) throw await notFound(hosts, team_id, name, ports);
  const places = rankPlaces(offers, options);
  if (places.length === 0) throw notReady(offers, name);
  return places;
}

/** What the hosts say of themselves now, and the names of those that do not answer. */
async function askAll(
  hosts: readonly HostInfo[],
  context: CommandContext,
  { hostInfo, clock }: SchedulerPorts,
): Promise<{ said: HostInfo[]; silent: string[] }> {
  const soon = { ...context, deadlineMs: Math.min(context.deadlineMs, clock.nowMs() + ASK_MS) };
  const silent: string[] = [];
  const said = await Promise.all(
    hosts.map((host) =>
      hostInfo(host.host_id, soon).catch((error: unknown) => {
        context.signal.throwIfAborted();
        if (!hasCode(error, 'HOST_UNREACHABLE') && !hasCode(error, 'DEADLINE_EXCEEDED')) throw error;
        silent.push(host.host_id);
        return [];
      }),
    ),
  );
  return { said: said.flat(), silent };
}

/** A template that was just made may be known only to a host that does not answer: that it is nowhere would be too much to say. */
function unknownTo(silent: readonly string[], name: string): DormouseError {
  return new DormouseError(
    'NO_HOST_AVAILABLE',
    `No host that answers has the template "${name}", and ${silent.join(', ')} did not answer. Try again.`,
    { data: { template: name } },
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

import { PLATFORM_TEAM_ID } from '../../ids.ts';
import type { HostInfo } from '../host/protocol.ts';
import type { TemplateInfo } from '../host/template-protocol.ts';
import type { SandboxOptions } from '../sandbox/protocol.ts';
import { type AskedOptions, completeOptions } from './options.ts';

/** A host and the template that it has. */
export interface Offer {
  host: HostInfo;
  template: TemplateInfo;
}

/** A host that can make the sandbox, and all options that it gets there. */
export interface Place {
  hostId: string;
  options: SandboxOptions;
}

/**
 * Who has the template of that name, of the team; of the platform, when nobody has one of the team. Hosts in whatever state.
 *
 * Two of a team's templates of one name on different hosts are two templates, of which the newer one took the place of the other: only
 * who has that one is named. Every host has the platform's own, each made by itself, and each is as good.
 */
export function offersOf(hosts: readonly HostInfo[], teamId: string, name: string): Offer[] {
  const of = (team: string): Offer[] =>
    hosts.flatMap((host) =>
      host.templates
        .filter((template) => template.team_id === team && template.name === name)
        .map((template) => ({ host, template })),
    );
  const own = teamId === PLATFORM_TEAM_ID ? [] : of(teamId);
  if (own.length === 0) return of(PLATFORM_TEAM_ID);
  const newestMs = Math.max(...own.map(({ template }) => Date.parse(template.created_at)));
  return own.filter(({ template }) => Date.parse(template.created_at) === newestMs);
}

/** Names of the templates that the team may use, each once, sorted. */
export function templateNames(hosts: readonly HostInfo[], teamId: string): string[] {
  const names = hosts
    .flatMap(({ templates }) => templates)
    .filter(({ team_id }) => team_id === teamId || team_id === PLATFORM_TEAM_ID)
    .map(({ name }) => name);
  return [...new Set(names)].sort();
}

/**
 * Where the sandbox can be made, best first: hosts that are ready, of those the ones that have room, then those with a saved machine
 * of its shape, then the emptiest. Hosts without room come last instead of never: their own answer, which is newer than the
 * directory, says why.
 *
 * @throws `INVALID_SIZE` when no template that is offered can have the sizes
 */
export function rankPlaces(offers: readonly Offer[], asked: AskedOptions): Place[] {
  const places: Array<Place & { score: number }> = [];
  let refused: unknown;
  for (const { host, template } of offers) {
    if (host.state !== 'ready') continue;
    try {
      const options = completeOptions(asked, template);
      places.push({ hostId: host.host_id, options, score: scoreOf(host, template, options) });
    } catch (error) {
      refused ??= error;
    }
  }
  if (places.length === 0 && refused !== undefined) throw refused;
  return places.sort((a, b) => a.score - b.score).map(({ hostId, options }) => ({ hostId, options }));
}

/** The lower the better. */
function scoreOf(
  { used, capacity }: HostInfo,
  template: TemplateInfo,
  { vcpus, memory_mb }: SandboxOptions,
): number {
  const fits = used.vcpus + vcpus <= capacity.vcpus && used.memory_mb + memory_mb <= capacity.memory_mb;
  const warm = template.memory || template.warm.some((shape) => shape.startsWith(`${vcpus}x${memory_mb}x`));
  const load = used.memory_mb / Math.max(1, capacity.memory_mb);
  return (fits ? 0 : 10) + (warm ? 0 : 1) + Math.min(load, 0.99);
}

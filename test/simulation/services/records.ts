import type { SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { PLATFORM_TEAM_ID } from '../../../src/ids.ts';
import { LOST, type Records, type TemplateRecord } from '../../../src/records/types.ts';
import { CONTROL, here, never } from '../world/process.ts';
import type { World } from '../world/world.ts';

/** How long the database is away, in milliseconds. */
const AWAY_MS = 5_000;

const unavailable = (): DormouseError =>
  new DormouseError('RECORDS_UNAVAILABLE', 'The simulation made the database unavailable.');

/** What the scheduler, the projector and clients need of the records, in memory: the database's, which outlives them. */
export class SimulatedRecords {
  readonly sandboxes = new Map<string, { view: SandboxView; requestHash: string; isMadeUp: boolean }>();
  readonly #templates = new Map<string, TemplateRecord>();
  readonly #world: World;
  #awayUntilMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Names of the templates that are not the platform's. */
  teamTemplates(): string[] {
    return [...this.#templates.values()]
      .filter(({ teamId }) => teamId !== PLATFORM_TEAM_ID)
      .map(({ name }) => name);
  }

  /** The records as a process sees them. */
  open(): Records {
    const { sandboxes } = this;
    const templates = this.#templates;
    const refuseOther = (id: string, requestHash: string): void => {
      const there = sandboxes.get(id)?.requestHash ?? '';
      if (there !== '' && there !== requestHash)
        throw new DormouseError('IDEMPOTENCY_KEY_REUSED', 'The key belongs to another request.');
    };
    const claim = (view: SandboxView, requestHash: string): { created: boolean; view: SandboxView } => {
      refuseOther(view.id, requestHash);
      const there = sandboxes.get(view.id);
      if (there) return { created: false, view: there.view };
      sandboxes.set(view.id, { view, requestHash, isMadeUp: false });
      return { created: true, view };
    };
    const records: Pick<
      Records,
      | 'claimSandbox'
      | 'claimSandboxes'
      | 'unclaimSandbox'
      | 'applyTransition'
      | 'findSandbox'
      | 'unchangedSandboxes'
      | 'upsertHost'
      | 'findTemplate'
      | 'listAllTemplates'
      | 'upsertTemplate'
      | 'removeTemplate'
    > = {
      claimSandbox: ({ view, requestHash }) => this.#run('claim', () => claim(view, requestHash)),
      claimSandboxes: (claims) =>
        this.#run('claim several', () => {
          // All or none: what is refused is refused before anything is written.
          for (const { view, requestHash } of claims) refuseOther(view.id, requestHash);
          const claimed = claims.map(({ view, requestHash }) => claim(view, requestHash));
          return { created: claimed.some(({ created }) => created), views: claimed.map(({ view }) => view) };
        }),
      unclaimSandbox: (id) =>
        this.#run('unclaim', () => {
          if (sandboxes.get(id)?.view.seq === 0) sandboxes.delete(id);
        }),
      applyTransition: ({ sandbox, seq, cause }) =>
        this.#run('apply', () => {
          const there = sandboxes.get(sandbox.id);
          // What was made up for one that was held to be lost gives way to what its host says.
          const isMadeUp = there?.isMadeUp && cause !== LOST && there.view.seq === seq;
          if (there && there.view.seq >= seq && !isMadeUp) return false;
          const requestHash = there?.requestHash ?? '';
          sandboxes.set(sandbox.id, { view: sandbox, requestHash, isMadeUp: cause === LOST });
          return true;
        }),
      findSandbox: (teamId, id) =>
        this.#run('find', () => {
          const view = sandboxes.get(id)?.view;
          return view?.team_id === teamId ? view : undefined;
        }),
      unchangedSandboxes: (hostId, since, { afterId = '' }) =>
        this.#run('unchanged', () =>
          [...sandboxes.values()]
            .map(({ view }) => view)
            .filter(({ host_id, id, state, updated_at }) => {
              const isOld = host_id === hostId && new Date(updated_at) <= since && id > afterId;
              return isOld && !/^(destroyed|failed)$/.test(state);
            }),
        ),
      upsertHost: async () => {},
      findTemplate: async (teamId, name) =>
        templates.get(`${teamId} ${name}`) ?? templates.get(`${PLATFORM_TEAM_ID} ${name}`),
      listAllTemplates: async () => [...templates.values()],
      upsertTemplate: async (template) => {
        templates.set(`${template.teamId} ${template.name}`, template);
      },
      removeTemplate: async (hostId, teamId, name) => {
        if (templates.get(`${teamId} ${name}`)?.hostId === hostId) templates.delete(`${teamId} ${name}`);
      },
    };
    return records as Records;
  }

  async #run<T>(label: string, act: () => T): Promise<T> {
    await this.#world.turn(`records ${label}`);
    if (this.#world.time.monotonicMs < this.#awayUntilMs) throw unavailable();
    const fault = this.#world.faults.next('record', label, 'records');
    this.#world.note(`records: ${label} ${fault ?? ''}`);
    if (fault === 'refused') throw unavailable();
    if (fault === 'database away') {
      this.#awayUntilMs = this.#world.time.monotonicMs + AWAY_MS;
      throw unavailable();
    }
    const result = act();
    if (fault === 'scheduler killed' && here().process.name === CONTROL) {
      here().process.die();
      return never();
    }
    if (fault === 'answer lost') throw unavailable();
    return result;
  }
}

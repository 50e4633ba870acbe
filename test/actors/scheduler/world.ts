import type { Test } from 'tap';
import { Value } from 'typebox/value';
import { CreateSandbox, type HostInfo } from '../../../src/actors/host/protocol.ts';
import { ForkRequest, SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import type { Claim, SchedulerPorts } from '../../../src/actors/scheduler/ports.ts';
import { Scheduler } from '../../../src/actors/scheduler/scheduler.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { DormouseError, type ErrorCode } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { hostInfo } from '../host/hosts.ts';

/** The context that every test calls with. */
export const context: CommandContext = {
  commandId: 'of the caller',
  deadlineMs: 2_000_000,
  signal: new AbortController().signal,
};

/** Records and hosts of a test's own, and a scheduler between them. */
export interface SchedulerWorld {
  scheduler: Scheduler;
  clock: ReturnType<typeof fakeClock>;
  /** The records, by sandbox id. */
  claims: Map<string, { view: SandboxView; requestHash: string }>;
  /** What hosts were asked to make, in order. */
  asked: Array<{ host: string; body: CreateSandbox }>;
  /** What sandboxes were asked to make copies of. */
  forked: Array<{ sandbox: string; ids: string[] }>;
  /** Hosts that were asked what they say of themselves now. */
  informed: string[];
  unclaimed: string[];
  /** Sandboxes that were asked to end. They do. */
  destroyed: string[];
  /** Writes a record as a host has told it. */
  record(view: SandboxView): void;
}

export interface WorldOptions {
  /** The directory. */
  hosts?: HostInfo[];
  /** What a host answers to a create, by its id: an error or its code, or nothing for success. */
  answers?: Record<string, ErrorCode | DormouseError>;
  /** What hosts say of themselves when they are asked; the directory's entry of one that is not in it. */
  now?: Record<string, HostInfo | ErrorCode>;
  /** What the sandbox answers to a fork. */
  fork?: ErrorCode | undefined;
  /** How many more sandboxes the quota allows. */
  quota?: number;
  /** The host that the records name for a template. */
  templateHost?: string;
  /** How many of the sandboxes that were asked for, first ones first, hosts keep; or what a host answers instead of telling. */
  kept?: number | ErrorCode;
  ports?: Partial<SchedulerPorts>;
}

export function startWorld(t: Test, options: WorldOptions = {}): SchedulerWorld {
  const { hosts = [hostInfo()], answers = {}, now = {}, templateHost } = options;
  const claims: SchedulerWorld['claims'] = new Map();
  const world = { asked: [], forked: [], informed: [], unclaimed: [], destroyed: [] } as Pick<
    SchedulerWorld,
    'asked' | 'forked' | 'informed' | 'unclaimed' | 'destroyed'
  >;
  const clock = fakeClock();
  let left = options.quota ?? Number.POSITIVE_INFINITY;

  async function claimAll(records: readonly Claim[]): Promise<{ created: boolean; views: SandboxView[] }> {
    for (const { view, requestHash, idempotencyKey } of records) {
      t.ok(Value.Check(SandboxView, view), 'the record gets what its schema says');
      const there = claims.get(view.id);
      // A record from the stream does not know its request.
      if (there && there.requestHash !== '' && there.requestHash !== requestHash)
        throw new DormouseError('IDEMPOTENCY_KEY_REUSED', `the key ${idempotencyKey}`);
    }
    const added = records.filter(({ view }) => !claims.has(view.id));
    if (added.length > left) throw new DormouseError('QUOTA_EXCEEDED', 'It is full.');
    left -= added.length;
    for (const { view, requestHash } of added) claims.set(view.id, { view, requestHash });
    return {
      created: added.length > 0,
      views: records.map(({ view }) => claims.get(view.id)?.view ?? view),
    };
  }

  const scheduler = new Scheduler({
    clock,
    log: quiet,
    hosts: async () => hosts,
    async hostInfo(host) {
      world.informed.push(host);
      const answer = now[host] ?? hosts.find(({ host_id }) => host_id === host) ?? 'HOST_UNREACHABLE';
      if (typeof answer === 'string') throw new DormouseError(answer, `${host} says ${answer}`);
      return answer;
    },
    async createOn(host, body, own) {
      t.equal(own, context, "the caller's deadline and signal go with it");
      t.ok(Value.Check(CreateSandbox, body), 'the host gets what its schema says');
      world.asked.push({ host, body });
      const answer = answers[host];
      if (answer instanceof DormouseError) throw answer;
      if (answer) throw new DormouseError(answer, `${host} says ${answer}`);
      const claim = claims.get(body.sandbox_id);
      if (!claim) throw new Error('a host was asked before the record was written');
      return { ...claim.view, host_id: host, state: 'running', seq: 5 };
    },
    async forkOn(_team, sandbox, body, own) {
      t.equal(own, context, "the caller's deadline and signal go with it");
      t.ok(Value.Check(ForkRequest, body), 'the host gets what its schema says');
      world.forked.push({ sandbox, ids: body.ids });
      if (options.fork) throw new DormouseError(options.fork, `the host says ${options.fork}`);
      const sandboxes = body.ids.map((id): SandboxView => {
        const claim = claims.get(id);
        if (!claim) throw new Error('a host was asked before the record was written');
        return { ...claim.view, state: 'running', seq: 5 };
      });
      return { sandboxes };
    },
    async destroyOn(_team, id) {
      world.destroyed.push(id);
      const claim = claims.get(id);
      if (claim) claim.view = { ...claim.view, state: 'destroyed' };
    },
    async find(teamId, sandboxId) {
      const view = claims.get(sandboxId)?.view;
      return view?.team_id === teamId ? view : undefined;
    },
    hostOfTemplate: async () => templateHost,
    async claim(record) {
      const { created, views } = await claimAll([record]);
      return { created, view: views[0] ?? record.view };
    },
    claimAll,
    async unclaim(id) {
      world.unclaimed.push(id);
      if (claims.get(id)?.view.seq === 0 && claims.delete(id)) left += 1;
    },
    async keptBy(host) {
      const { kept = 0 } = options;
      if (typeof kept === 'string') throw new DormouseError(kept, `${host} says ${kept}`);
      const asked = [
        ...world.asked.map(({ body }) => body.sandbox_id),
        ...world.forked.flatMap(({ ids }) => ids),
      ];
      return new Set(asked.slice(0, kept));
    },
    ...options.ports,
  });
  return {
    ...world,
    scheduler,
    clock,
    claims,
    record: (view) => void claims.set(view.id, { view, requestHash: claims.get(view.id)?.requestHash ?? '' }),
  };
}

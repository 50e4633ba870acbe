import t from 'tap';
import type { SandboxTransition, SandboxView } from '../../src/actors/sandbox/protocol.ts';
import { LOST } from '../../src/records/types.ts';
import { exampleTransition, exampleView } from '../support/bus.ts';
import { newTeamId, startTestRecords } from '../support/records.ts';

const at = (second: number): string => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();

/** The `seq`-th transition of the sandbox, at that second, into the state. */
function into(
  view: SandboxView,
  seq: number,
  second: number,
  to: string,
  changes: Partial<SandboxTransition> = {},
): SandboxTransition {
  const [state, step = null] = to.split('.');
  const changed = { ...view, state: state as SandboxView['state'], step, updated_at: at(second) };
  return { ...exampleTransition(changed, seq), at: at(second), to, ...changes };
}

t.test('the fleet and the history of a team', async (t) => {
  const { records } = await startTestRecords(t);
  const store = async (...transitions: SandboxTransition[]): Promise<void> => {
    for (const transition of transitions) await records.applyTransition(transition);
  };

  await t.test(
    'the fleet: the full state, since when, tries, and why the last operation failed',
    async (t) => {
      const team_id = newTeamId();
      const view = exampleView({ team_id, host_id: 'h-1', template: 'python' });
      const moment = { context: { tries: 3, heading: 'pausing' }, ledger: [], timers: [] };
      const failed = into(view, 2, 7, 'crashed.resting', { moment });
      failed.sandbox = { ...failed.sandbox, step: null, last_error: { code: 'VMM_GONE', detail: 'it went' } };
      await store(into(view, 1, 5, 'running'), failed);
      const rows = await records.fleet(team_id, { failedSince: new Date(0), limit: 10 });
      t.same(rows, [
        {
          id: view.id,
          hostId: 'h-1',
          template: 'python',
          state: 'crashed.resting',
          since: new Date(at(7)),
          seq: 2,
          execution: 1,
          tries: 3,
          errorCode: 'VMM_GONE',
        },
      ]);
    },
  );

  await t.test(
    'the fleet: what was only claimed is there, too; tries that are no number are not told',
    async (t) => {
      const team_id = newTeamId();
      const claimed = exampleView({ team_id, state: 'creating', step: 'disk', seq: 0, host_id: '' });
      await records.claimSandbox({ view: claimed, idempotencyKey: undefined, requestHash: 'h' });
      const odd = exampleView({ team_id });
      const moment = { context: { tries: 'many' }, ledger: [], timers: [] };
      await store(into(odd, 1, 5, 'running', { moment }));
      const rows = await records.fleet(team_id, { failedSince: new Date(0), limit: 10 });
      const byId = new Map(rows.map((row) => [row.id, row]));
      t.match(byId.get(claimed.id), { state: 'creating.disk', hostId: '', seq: 0, tries: null });
      t.match(byId.get(odd.id), { state: 'running', tries: null });
    },
  );

  await t.test(
    'the fleet: without destroyed ones and old failures, without those of others, cut at the limit',
    async (t) => {
      const team_id = newTeamId();
      const make = async (state: string, second: number, team = team_id): Promise<string> => {
        const view = exampleView({ team_id: team });
        await store(into(view, 1, second, state));
        return view.id;
      };
      const running = await make('running', 10);
      const paused = await make('paused', 30);
      const failed = await make('failed', 20);
      await make('failed', 9);
      await make('destroyed', 40);
      await make('running', 50, newTeamId());
      const ids = async (limit: number): Promise<string[]> =>
        (await records.fleet(team_id, { failedSince: new Date(at(10)), limit })).map(({ id }) => id);
      t.same(await ids(10), [paused, failed, running], 'what changed last comes first');
      t.same(await ids(2), [paused, failed]);
    },
  );

  await t.test('usual durations: of each state that was left, in milliseconds', async (t) => {
    const team_id = newTeamId();
    t.same(await records.usualDurations(team_id), [], 'a team without any history');
    // A hundred pauses that take 1 to 100 seconds.
    for (let second = 1; second <= 100; second++) {
      const view = exampleView({ team_id });
      await store(
        into(view, 1, 0, 'running'),
        into(view, 2, 1_000, 'pausing.snapshotting'),
        into(view, 3, 1_000 + second, 'paused'),
      );
    }
    // What lies between two numbers that do not follow each other was not the first one's state all the time.
    const gap = exampleView({ team_id });
    await store(into(gap, 1, 0, 'paused'), into(gap, 5, 9_000, 'running'));
    const usual = await records.usualDurations(team_id);
    t.same(
      usual.map(({ state, count, p50Ms }) => [state, count, p50Ms]),
      [
        ['pausing.snapshotting', 100, 50_500],
        ['running', 100, 1_000_000],
      ],
    );
    const [pausing] = usual;
    t.ok(pausing && Math.abs(pausing.p95Ms - 95_050) < 1 && Math.abs(pausing.p99Ms - 99_010) < 1);
  });

  await t.test('usual durations: a clock that went back makes no negative ones', async (t) => {
    const team_id = newTeamId();
    const view = exampleView({ team_id });
    await store(into(view, 1, 10, 'running'), into(view, 2, 5, 'paused'));
    t.match(await records.usualDurations(team_id), [{ state: 'running', count: 1, p50Ms: 0 }]);
  });

  await t.test('the history of a team: pages, newest first, each transition once', async (t) => {
    const team_id = newTeamId();
    const views = Array.from({ length: 3 }, () => exampleView({ team_id }));
    // Several in the same millisecond, of one sandbox and of several.
    const all = views.flatMap((view) =>
      [1, 2, 3, 4].map((seq) => into(view, seq, Math.ceil(seq / 2), 'running')),
    );
    await store(...all, into(exampleView({ team_id: newTeamId() }), 1, 2, 'running'));
    const expected = all.toSorted((a, b) => (orderOf(a) < orderOf(b) ? 1 : -1));
    for (const limit of [1, 5, 12, 50]) {
      const seen: SandboxTransition[] = [];
      let cursor: string | null | undefined;
      while (cursor !== null) {
        const page = await records.listTeamTransitions({ teamId: team_id, limit, ...(cursor && { cursor }) });
        t.ok(page.items.length <= limit);
        seen.push(...page.items);
        cursor = page.nextCursor;
      }
      t.same(seen, expected, `pages of ${limit}`);
    }
    for (const cursor of ['x', 'W10', Buffer.from('[1,"sb-a"]').toString('base64url')])
      await t.rejects(records.listTeamTransitions({ teamId: team_id, limit: 1, cursor }), {
        code: 'INVALID_REQUEST',
      });
  });

  await t.test('those that were inferred to be lost since a time', async (t) => {
    const team_id = newTeamId();
    const lost = (second: number, team = team_id) =>
      into(exampleView({ team_id: team }), 1, second, 'failed', { cause: LOST });
    const [old, first, second] = [lost(1), lost(5), lost(6)];
    await store(old, second, first, lost(7, newTeamId()), into(exampleView({ team_id }), 1, 8, 'failed'));
    t.same(await records.lostSince(team_id, new Date(at(5)), 10), [first, second]);
    t.same(await records.lostSince(team_id, new Date(at(5)), 1), [first]);
  });
});

function orderOf({ at, sandbox_id, seq }: SandboxTransition): string {
  return `${at} ${sandbox_id} ${seq}`;
}

import fc from 'fast-check';
import t from 'tap';
import { Value } from 'typebox/value';
import type { AnyMachineSnapshot } from 'xstate';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { SandboxTransition, SandboxView } from '../../../src/actors/sandbox/protocol.ts';
import { eventOf, viewOf } from '../../../src/actors/sandbox/view.ts';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import { contexts, HIDDEN, INSIDE, sandboxContext } from './support.ts';

const record = (
  context: SandboxContext,
  value: ActorRecord['value'] = 'running',
): ActorRecord<SandboxContext> => ({
  v: 1,
  kind: 'sandbox',
  id: context.id,
  seq: 5,
  value,
  context,
  enteredAtMs: 1000,
  timers: { [INSIDE]: { atMs: 1, event: { type: HIDDEN } } },
  ledger: [{ kind: INSIDE, sinceMs: 1 }],
  outbox: [HIDDEN],
  replies: [{ commandId: HIDDEN, fingerprint: HIDDEN, reply: { ok: true, value: HIDDEN } }],
});

const values = fc.constantFrom<ActorRecord['value']>(
  'running',
  'paused',
  'stranded',
  'destroyed',
  { creating: 'disk' },
  { pausing: 'snapshotting' },
  { resuming: 'rollingBack' },
  { crashed: 'resting' },
);

t.test('property: a view says what its schema says, and nothing that belongs to the host', async (t) => {
  const result = fc.check(
    fc.property(contexts, values, (context, value) => {
      const view = viewOf(record(context, value), ['pause', 'destroy']);
      const text = JSON.stringify(view);
      return Value.Check(SandboxView, view) && !text.includes(HIDDEN) && !text.includes(INSIDE);
    }),
    { numRuns: 500 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test('property: so does an event', async (t) => {
  const result = fc.check(
    fc.property(
      contexts,
      values,
      fc.option(fc.constantFrom('step.done', 'pause')),
      (context, value, cause) => {
        const own = record(context, value);
        const event = eventOf(
          {
            seq: 5,
            atMs: 1000,
            from: cause === null ? null : 'running',
            to: 'x',
            cause: cause ?? 'create',
            commandId: context.command?.id ?? null,
            step: cause === 'step.done' ? 'saveVm' : null,
            stepDurationMs: cause === 'step.done' ? 1.5 : null,
            error: context.lastError && {
              code: context.lastError.code,
              detail: 'x',
              data: { where: HIDDEN },
            },
            record: own,
            snapshot: {} as AnyMachineSnapshot,
          },
          viewOf(own, []),
        );
        return Value.Check(SandboxTransition, event) && !JSON.stringify(event).includes(HIDDEN);
      },
    ),
    { numRuns: 500 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test('state and step', async (t) => {
  const at = (value: ActorRecord['value']) => {
    const { state, step } = viewOf(record(sandboxContext(), value), []);
    return [state, step];
  };
  t.same(at('running'), ['running', null]);
  t.same(at({ pausing: 'snapshotting' }), ['pausing', 'snapshotting']);
  t.same(at({ crashed: 'resting' }), ['crashed', null], 'a state at rest has no step');
});

t.test('times, and the reason of a failure while its rollback goes on and after it', async (t) => {
  const failure = { code: 'VMM_FAILED', detail: 'now' } as const;
  const lastError = { code: 'DISK_FULL', detail: 'before' } as const;
  const view = (context: Partial<SandboxContext>) => viewOf(record(sandboxContext(context)), []);
  t.match(view({ createdAtMs: 0, expiresAtMs: 61_000 }), {
    created_at: '1970-01-01T00:00:00.000Z',
    updated_at: '1970-01-01T00:00:01.000Z',
    expires_at: '1970-01-01T00:01:01.000Z',
    last_error: null,
  });
  t.same(view({ failure, lastError }).last_error, failure);
  t.same(view({ lastError }).last_error, lastError);
});

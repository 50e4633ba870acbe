import fc from 'fast-check';
import t from 'tap';
import { Value } from 'typebox/value';
import type { AnyMachineSnapshot } from 'xstate';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import { sandboxInspection, sandboxMoment } from '../../../src/actors/sandbox/moment.ts';
import { Inspection, Moment } from '../../../src/actors/system/inspection.ts';
import type { ActorRecord } from '../../../src/actors/system/journal.ts';
import type { ErrorRecord } from '../../../src/errors/index.ts';
import { contexts, HIDDEN, SLOT, sandboxContext, VM } from './support.ts';

const record = (
  context: SandboxContext,
  changes: Partial<ActorRecord<SandboxContext>> = {},
): ActorRecord<SandboxContext> => ({
  v: 1,
  kind: 'sandbox',
  id: context.id,
  seq: 5,
  value: 'running',
  context,
  enteredAtMs: 1000,
  timers: {},
  ledger: [],
  outbox: [HIDDEN],
  replies: [{ commandId: HIDDEN, fingerprint: HIDDEN, reply: { ok: true, value: HIDDEN } }],
  ...changes,
});

const error: ErrorRecord = {
  code: 'VMM_FAILED',
  detail: 'It was not saved.',
  causes: ['no space'],
  data: { where: HIDDEN },
};

t.test('what a sandbox is in the middle of and holds', async (t) => {
  const context = sandboxContext({
    slot: { ...SLOT, namespacePath: HIDDEN },
    vm: { ...VM, runDir: HIDDEN, startTicks: HIDDEN },
    diskPath: HIDDEN,
    secret: HIDDEN,
    defaults: { env: { TOKEN: HIDDEN } },
    capture: { dir: HIDDEN, memory: true },
    command: { id: 'c-1', name: 'pause', deadlineMs: 61_000 },
    failure: error,
    heading: 'pausing',
    tries: 3,
    execution: 2,
  });
  const moment = sandboxMoment(
    record(context, {
      ledger: [
        { kind: 'live', sinceMs: 0 },
        { kind: 'vmm', sinceMs: 1000 },
      ],
      timers: {
        'xstate.after.backOff.sandbox.stranded': { atMs: 2000, event: { type: 'later' } },
        expired: { atMs: 3000, event: { type: 'expired' } },
      },
    }),
  );
  t.same(moment, {
    context: {
      command: { name: 'pause', id: 'c-1', deadline: '1970-01-01T00:01:01.000Z' },
      execution: 2,
      heading: 'pausing',
      tries: 3,
      failure: { code: 'VMM_FAILED', detail: 'It was not saved.', causes: ['no space'] },
      last_error: null,
      source: 'image',
      options: {
        template: 'minimal',
        vcpus: 1,
        memory_mb: 256,
        disk_size_mb: 1024,
        timeout_s: 0,
        on_timeout: 'pause',
        auto_resume: false,
      },
      slot: { number: 3, namespace: 'dm-slot-3' },
      vm: { pid: 4711 },
      has_disk: true,
      capture: { memory: true },
      created_at: '1970-01-01T00:00:00.000Z',
      expires_at: null,
    },
    ledger: [
      { kind: 'live', since: '1970-01-01T00:00:00.000Z' },
      { kind: 'vmm', since: '1970-01-01T00:00:01.000Z' },
    ],
    timers: [
      { name: 'backOff', at: '1970-01-01T00:00:02.000Z' },
      { name: 'expired', at: '1970-01-01T00:00:03.000Z' },
    ],
  });
});

t.test('times beyond all reason', async (t) => {
  const moment = sandboxMoment(
    record(sandboxContext({ command: { id: 'c-1', name: 'pause', deadlineMs: 1e16 } }), {
      timers: { expired: { atMs: Number.MAX_SAFE_INTEGER, event: { type: 'expired' } } },
    }),
  );
  t.match(moment.context, { command: { deadline: '9999-12-31T23:59:59.999Z' } });
  t.same(moment.timers, [], 'a timer that never fires is none');
  t.ok(Value.Check(Moment, moment));
});

t.test('a journal of before a field was there', async (t) => {
  const { capture: _capture, defaults: _defaults, ...old } = sandboxContext();
  t.notOk('capture' in sandboxMoment(record(old)).context);
});

t.test('property: what is shown fits its schema, and nothing of the host is in it', async (t) => {
  const result = fc.check(
    fc.property(contexts, fc.option(fc.constantFrom('pause', 'snapshot or fork')), (context, refused) => {
      const inspection = sandboxInspection(
        {
          transition: {
            ...{ seq: 5, atMs: 1000, from: 'running', to: 'running', cause: 'pause', commandId: 'c-1' },
            ...{ step: null, stepDurationMs: null, error: context.lastError },
            record: record(context),
            snapshot: {} as AnyMachineSnapshot,
          },
          refused,
        },
        ['pause', 'destroy'],
      );
      return (
        Value.Check(Inspection, inspection) &&
        inspection.refused === refused &&
        !JSON.stringify(inspection).includes(HIDDEN)
      );
    }),
    { numRuns: 300 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

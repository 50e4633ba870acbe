import t from 'tap';
import { problemsOf } from '../../src/bus/schema.ts';
import { Recording } from '../../src/machines/recording.ts';
import { replay } from './parallel.ts';
import { recordingOf } from './recording.ts';

/** A run can be looked at afterwards: its recording has what happened to every actor. */

t.test('the recording of a pause that is taken back', async (t) => {
  const fault = { class: 'step', at: 8, kind: 'reply lost' } as const;
  const told = await replay({ tape: { scenario: 'a clone', faults: [fault], choices: [] } });
  const recording = JSON.parse(JSON.stringify(recordingOf(told, 7))) as Recording;
  t.same(problemsOf(Recording, recording), []);
  t.match(recording, { scenario: 'a clone', seed: 7, faults: [fault], violations: [] });
  t.equal(recording.simulated_ms, told.simulatedMs);

  const { frames } = recording;
  t.same(frames.flatMap(({ text }) => text ?? []).length, told.story.length, 'every line of the story');
  t.ok(
    frames.every(({ at_ms }, at) => at_ms >= (frames[at - 1]?.at_ms ?? 0)),
    'in order',
  );
  const marked = frames.filter(({ mark }) => mark);
  t.equal(marked.length, 1);
  t.match(marked, [{ mark: 'fault', text: /saveVm: reply lost$/ }]);

  const inspections = frames.flatMap(({ inspection }) => inspection ?? []);
  t.same(
    [...new Set(inspections.map(({ kind }) => kind))].sort(),
    ['host', 'loop-registry', 'sandbox'],
    'of all actors',
  );
  const sandbox = inspections.filter(({ kind }) => kind === 'sandbox');
  t.same(
    sandbox.map(({ seq }) => seq),
    sandbox.map((_, at) => at + 1),
    'every transition once',
  );
  for (const [at, { from }] of sandbox.entries()) t.equal(from, sandbox[at - 1]?.to ?? null);
  const failed = sandbox.find(({ error }) => error);
  t.match(failed, {
    from: 'pausing.snapshotting',
    to: 'pausing.thawing',
    cause: 'step.failed',
    step: 'saveVm',
  });
  t.match(failed?.moment, { context: { failure: { code: 'STEP_FAILED' }, command: { name: 'pause' } } });
  t.equal(sandbox.at(-1)?.to, 'destroyed');
  t.same(sandbox.at(-1)?.moment?.ledger, []);
});

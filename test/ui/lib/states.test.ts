import t from 'tap';
import { SANDBOX_STATES } from '../../../src/actors/sandbox/protocol.ts';
import { groupOf, topLevel } from '../../../src/ui/lib/states.ts';

t.test('a full state value belongs to the group of its first part', async (t) => {
  t.equal(topLevel('pausing.snapshotting'), 'pausing');
  t.equal(topLevel('running'), 'running');
  t.equal(groupOf('crashed.cleaning'), 'failed');
});

t.test('what needs somebody is known as that, and nothing else is', async (t) => {
  const failed = SANDBOX_STATES.filter((state) => groupOf(state) === 'failed');
  t.same(failed, ['crashed', 'failed', 'stranded']);
  const resting = SANDBOX_STATES.filter((state) => ['running', 'paused'].includes(groupOf(state)));
  t.same(resting, ['running', 'paused']);
});

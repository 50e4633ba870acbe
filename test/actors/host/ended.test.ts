import t from 'tap';
import { EndedSandboxes } from '../../../src/actors/host/ended.ts';
import { fakeClock } from '../../support/fake-clock.ts';

t.test('an id is not used again for a while after its sandbox has ended', async (t) => {
  const clock = fakeClock();
  const ended = new EndedSandboxes(clock);
  ended.check('sb-new');
  ended.add('sb-destroyed', null);
  ended.add('sb-failed', { code: 'VMM_FAILED', detail: 'QEMU did not start.' });
  t.throws(() => ended.check('sb-destroyed'), { code: 'SANDBOX_NOT_FOUND', message: /destroyed/ });
  t.throws(() => ended.check('sb-failed'), { code: 'VMM_FAILED', message: /QEMU did not start/ });
  clock.advance(599_000);
  ended.add('sb-later', null);
  t.throws(() => ended.check('sb-failed'), 'it may still be on its way');
  clock.advance(2_000);
  ended.add('sb-last', null);
  ended.check('sb-failed');
  ended.check('sb-destroyed');
  t.throws(() => ended.check('sb-later'));
});

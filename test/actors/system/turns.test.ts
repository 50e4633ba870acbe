import t from 'tap';
import { Turns } from '../../../src/actors/system/turns.ts';
import { gate, settled } from '../../support/gate.ts';

t.test(
  'operations run one after the other in the order asked, whatever became of those before',
  async (t) => {
    const turns = new Turns(8);
    const first = gate();
    const seen: string[] = [];
    const failing = turns.take(async () => {
      await first.passed;
      seen.push('first');
      throw new Error('first failed');
    });
    const second = turns.take(async () => {
      seen.push('second');
      return 2;
    });
    await settled();
    t.same(seen, []);
    first.open();
    await t.rejects(failing, { message: 'first failed' });
    t.equal(await second, 2);
    t.same(seen, ['first', 'second']);
  },
);

t.test('the bound counts those that wait, not the one that runs', async (t) => {
  const turns = new Turns(1);
  const first = gate();
  const running = turns.take(() => first.passed);
  await settled();
  const waiting = turns.take(async () => 'waited');
  await t.rejects(
    turns.take(async () => 'too many'),
    { code: 'MAILBOX_FULL' },
  );
  first.open();
  await running;
  t.equal(await waiting, 'waited');
  t.equal(await turns.take(async () => 'again'), 'again');
});

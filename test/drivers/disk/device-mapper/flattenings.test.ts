import t from 'tap';
import { Flattenings } from '../../../../src/drivers/disk/device-mapper/flattenings.ts';
import { gate } from '../../../support/gate.ts';

t.test('one of a sandbox after the other, and those of others beside them', async (t) => {
  const flattenings = new Flattenings();
  const begun: string[] = [];
  const held = gate();
  const work = (name: string) => async (): Promise<string> => {
    begun.push(name);
    if (name === 'first') await held.passed;
    if (name === 'second') throw new Error('it fails');
    return name;
  };
  const first = flattenings.take('a', work('first'));
  const second = t.rejects(flattenings.take('a', work('second')), /it fails/);
  const third = flattenings.take('a', work('third'));
  t.equal(await flattenings.take('b', work('other')), 'other');
  t.same(
    [begun, flattenings.isUnderWay('a'), flattenings.isUnderWay('b')],
    [['first', 'other'], true, false],
  );
  held.open();
  t.equal(await first, 'first');
  await second;
  t.equal(await third, 'third');
  t.equal(flattenings.isUnderWay('a'), false);
});

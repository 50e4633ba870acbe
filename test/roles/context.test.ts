import t from 'tap';
import { Parts } from '../../src/roles/context.ts';

t.test('parts are closed in reverse, and a guard only when all after it have ended', async (t) => {
  for (const fails of [false, true]) {
    const parts = new Parts();
    const closed: string[] = [];
    const close = async (name: string): Promise<void> => void closed.push(name);
    parts.add('before', close);
    parts.addGuard('the lock', close);
    parts.add('one', close);
    parts.add('two', async () => {
      if (fails) throw new Error('it works on');
    });
    parts.add('three', close);
    if (fails) await t.rejects(parts.close(), { message: 'it works on' });
    else await parts.close();
    t.same(closed, fails ? ['three', 'one', 'before'] : ['three', 'one', 'the lock', 'before']);
  }
});

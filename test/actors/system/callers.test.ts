import t from 'tap';
import { Callers } from '../../../src/actors/system/callers.ts';

function callers() {
  const abandoned: string[] = [];
  return { callers: new Callers((commandId) => abandoned.push(commandId)), abandoned };
}
const caller = (commandId: string) => {
  const controller = new AbortController();
  return { commandId, signal: controller.signal, leave: (reason?: unknown) => controller.abort(reason) };
};

t.test('every caller of a command gets the same answer, and callers of others none', async (t) => {
  const { callers: all } = callers();
  const [one, two] = [all.wait('f', caller('c')), all.wait('f', caller('c'))];
  const other = all.wait('g', caller('d'));
  t.equal(all.fingerprint('c'), 'f');
  t.equal(all.fingerprint('unknown'), undefined);
  all.answer('c', { value: 42 });
  t.same(await Promise.all([one, two]), [42, 42]);
  t.equal(all.fingerprint('c'), undefined, 'it is over');
  all.answer('d', { error: new Error('no') });
  await t.rejects(other, { message: 'no' });
  all.answer('nobody waits', { value: 1 });
});

t.test('a command is abandoned when the last of its callers goes, once', async (t) => {
  const { callers: all, abandoned } = callers();
  const [first, second] = [caller('c'), caller('c')];
  const answers = [all.wait('f', first), all.wait('f', second)];
  first.leave();
  t.same(abandoned, []);
  t.equal(all.isAbandoned('c'), false);
  second.leave('enough');
  t.same(abandoned, ['c']);
  t.equal(all.isAbandoned('c'), true);
  t.equal(all.reason('c'), 'enough');
  // The operation is rolled back first; whoever still listens then hears how it ended.
  all.answer('c', { error: new Error('cancelled') });
  for (const answer of answers) await t.rejects(answer, { message: 'cancelled' });
});

t.test('the reason is that of the caller who went last, not of the one who came last', async (t) => {
  const { callers: all } = callers();
  const [first, second] = [caller('c'), caller('c')];
  all.wait('f', first).catch(() => {});
  all.wait('f', second).catch(() => {});
  second.leave('second went');
  first.leave('first went');
  t.equal(all.reason('c'), 'first went');
  all.answerAll(new Error('over'));
});

t.test('a caller who comes later takes the command back from those who went', async (t) => {
  const { callers: all, abandoned } = callers();
  const first = caller('c');
  all.wait('f', first).catch(() => {});
  const second = all.wait('f', caller('c'));
  first.leave();
  t.same(abandoned, []);
  t.equal(all.isAbandoned('c'), false);
  all.answer('c', { value: 1 });
  t.equal(await second, 1);
});

t.test('a caller who goes after the answer abandons nothing', async (t) => {
  const { callers: all, abandoned } = callers();
  const one = caller('c');
  const answer = all.wait('f', one);
  all.answer('c', { value: 1 });
  await answer;
  one.leave();
  t.same(abandoned, []);
});

t.test('a command without callers, such as one that goes on after a restart, is not abandoned', async (t) => {
  const { callers: all } = callers();
  t.equal(all.isAbandoned('c'), false);
  t.equal(all.reason('c'), undefined);
});

t.test('when the actor stops, everybody is told', async (t) => {
  const { callers: all } = callers();
  const answers = [all.wait('f', caller('a')), all.wait('f', caller('a')), all.wait('f', caller('b'))];
  all.answerAll(new Error('stopped'));
  for (const answer of answers) await t.rejects(answer, { message: 'stopped' });
});

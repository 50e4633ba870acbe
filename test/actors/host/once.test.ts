import t from 'tap';
import { Once } from '../../../src/actors/host/once.ts';
import { DormouseError, type ErrorCode } from '../../../src/errors/index.ts';

const context = (commandId: string, signal = new AbortController().signal) => ({
  commandId,
  deadlineMs: 0,
  signal,
});

t.test('a command that comes again waits for the first, and gets its outcome afterwards', async (t) => {
  const once = new Once();
  const first = Promise.withResolvers<string>();
  let runs = 0;
  const work = (): Promise<string> => {
    runs += 1;
    return first.promise;
  };
  const both = [
    once.run('build', { a: 1 }, context('c'), work),
    once.run('build', { a: 1 }, context('c'), work),
  ];
  await t.rejects(once.run('build', { a: 2 }, context('c'), work), { code: 'IDEMPOTENCY_KEY_REUSED' });
  await t.rejects(once.run('fork', { a: 1 }, context('c'), work), { code: 'IDEMPOTENCY_KEY_REUSED' });
  first.resolve('made');
  t.same(await Promise.all(both), ['made', 'made']);
  t.equal(await once.run('build', { a: 1 }, context('c'), work), 'made');
  t.equal(runs, 1);
});

t.test('a failure is an outcome, unless the same request may succeed later', async (t) => {
  const once = new Once();
  let runs = 0;
  const failWith = (code: ErrorCode) => async (): Promise<never> => {
    runs += 1;
    throw new DormouseError(code, 'no');
  };
  const refuse = failWith('TEMPLATE_INVALID');
  for (let time = 0; time < 2; time += 1)
    await t.rejects(once.run('build', {}, context('c'), refuse), { code: 'TEMPLATE_INVALID' });
  t.equal(runs, 1);
  const failNow = failWith('DISK_FULL');
  for (let time = 0; time < 2; time += 1)
    await t.rejects(once.run('build', {}, context('d'), failNow), { code: 'DISK_FULL' });
  t.equal(runs, 3, 'it is done again for one who was told to send it again');
  t.equal(await once.run('build', {}, context('d'), async () => 'made'), 'made');
  t.equal(await once.run('build', {}, context('d'), failNow), 'made', 'and once only');
  for (let time = 0; time < 2; time += 1)
    await t.rejects(once.run('build', {}, context('e', AbortSignal.abort()), refuse), {
      code: 'TEMPLATE_INVALID',
    });
  t.equal(runs, 5, 'and for one who went away and comes back');
});

t.test('the newest outcomes are remembered', async (t) => {
  const once = new Once();
  const run = (name: string, value: number) => once.run('build', {}, context(name), async () => value);
  for (let number = 0; number < 130; number += 1) await run(`c${number}`, number);
  t.equal(await run('c129', -1), 129);
  t.equal(await run('c2', -1), 2);
  t.equal(await run('c0', -1), -1, 'the oldest are not');
});

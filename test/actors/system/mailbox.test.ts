import t from 'tap';
import { Mailbox } from '../../../src/actors/system/mailbox.ts';
import { gate } from '../../support/gate.ts';

t.test('one message at a time, in the order of arrival', async (t) => {
  const mailbox = new Mailbox(8);
  const gates = [gate(), gate(), gate()];
  const seen: string[] = [];
  const handled = gates.map(({ passed }, index) =>
    mailbox.post(async () => {
      seen.push(`begin ${index}`);
      await passed;
      seen.push(`end ${index}`);
      return index;
    }),
  );
  // The later ones could go on first if they were begun.
  for (const { open } of gates.toReversed()) open();
  t.same(await Promise.all(handled), [0, 1, 2]);
  t.same(seen, ['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
});

t.test('beyond the bound messages from outside are refused, those of its own never', async (t) => {
  const mailbox = new Mailbox(2);
  const first = gate();
  const seen: string[] = [];
  const running = mailbox.post(() => first.passed);
  const waiting = ['a', 'b'].map((name) => mailbox.post(async () => void seen.push(name)));
  await t.rejects(
    mailbox.post(async () => void seen.push('refused')),
    { code: 'MAILBOX_FULL' },
  );
  const own = Array.from({ length: 10 }, (_, index) =>
    mailbox.postOwn(async () => void seen.push(`own ${index}`)),
  );
  await t.rejects(
    mailbox.post(async () => {}),
    { code: 'MAILBOX_FULL' },
    'own messages make no room',
  );
  first.open();
  await Promise.all([running, ...waiting, ...own]);
  t.same(seen, ['a', 'b', ...own.map((_, index) => `own ${index}`)]);
  t.equal(await mailbox.post(async () => 'again'), 'again', 'there is room again');
});

t.test('a message that is handled makes room for another one', async (t) => {
  const mailbox = new Mailbox(1);
  for (let round = 0; round < 5; round += 1) t.equal(await mailbox.post(async () => round), round);
});

t.test('a handler that fails, at once or later, fails its sender and nobody else', async (t) => {
  const mailbox = new Mailbox(8);
  const later = mailbox.postOwn(async () => {
    throw new Error('later');
  });
  const atOnce = mailbox.postOwn(() => {
    throw new Error('at once');
  });
  const next = mailbox.postOwn(async () => 'next');
  await t.rejects(later, { message: 'later' });
  await t.rejects(atOnce, { message: 'at once' });
  t.equal(await next, 'next');
});

t.test('idle resolves when nothing waits and nothing runs', async (t) => {
  const mailbox = new Mailbox(8);
  await mailbox.idle();
  const first = gate();
  const done: string[] = [];
  void mailbox.post(async () => {
    await first.passed;
    // A message that another one sends counts too.
    void mailbox.postOwn(async () => void done.push('second'));
    done.push('first');
  });
  const idle = mailbox.idle().then(() => done.push('idle'));
  first.open();
  await idle;
  t.same(done, ['first', 'second', 'idle']);
});

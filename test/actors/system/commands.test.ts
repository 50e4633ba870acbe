import t from 'tap';
import { Callers } from '../../../src/actors/system/callers.ts';
import { knownAnswer } from '../../../src/actors/system/commands.ts';

/** Commands that an actor has seen before. */

const context = { commandId: 'k-1', deadlineMs: 1, signal: new AbortController().signal };
const remembered = (fingerprint: string) => ({
  replies: [{ commandId: 'k-1', fingerprint, reply: { ok: true as const, value: 'done' } }],
});
const callers = new Callers(() => {});

t.test('one that was answered is answered the same', async (t) => {
  t.equal(await knownAnswer(remembered('a'), callers, undefined, 'a', context), 'done');
});

t.test('another request with the same key is refused', async (t) => {
  await t.rejects(knownAnswer(remembered('a'), callers, undefined, 'b', context) ?? Promise.resolve(), {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
});

t.test(
  'one that went on after a restart was answered for nobody; whoever asks again gets that answer',
  async (t) => {
    t.equal(await knownAnswer(remembered(''), callers, undefined, 'a', context), 'done');
  },
);

t.test('one that is being carried out is joined, and a new one is not known', async (t) => {
  const joined = knownAnswer({ replies: [] }, callers, 'k-1', 'a', context);
  callers.answer('k-1', { value: 'later' });
  t.equal(await joined, 'later');
  t.equal(knownAnswer({ replies: [] }, callers, undefined, 'a', { ...context, commandId: 'k-2' }), undefined);
});

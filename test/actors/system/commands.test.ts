import t from 'tap';
import { Callers } from '../../../src/actors/system/callers.ts';
import { knownAnswer, wrongState } from '../../../src/actors/system/commands.ts';

/** Commands that an actor has seen before. */

const context = { commandId: 'k-1', deadlineMs: 1, signal: new AbortController().signal };
const remembered = (fingerprint: string) => ({
  replies: [{ commandId: 'k-1', fingerprint, reply: { ok: true as const, value: 'done' } }],
});
const callers = new Callers(() => {});
const open = { id: 'k-1', name: 'open' };

t.test('one that was answered is answered the same', async (t) => {
  t.equal(await knownAnswer(remembered('a'), callers, null, 'open', 'a', context), 'done');
});

t.test('another request with the same key is refused', async (t) => {
  await t.rejects(knownAnswer(remembered('a'), callers, null, 'open', 'b', context) ?? Promise.resolve(), {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
});

t.test(
  'one that went on after a restart was answered for nobody; whoever asks again gets that answer',
  async (t) => {
    t.equal(await knownAnswer(remembered(''), callers, null, 'open', 'a', context), 'done');
  },
);

t.test('one that is being carried out is joined, and a new one is not known', async (t) => {
  const joined = knownAnswer({ replies: [] }, callers, open, 'open', 'a', context);
  callers.answer('k-1', { value: 'later' });
  t.equal(await joined, 'later');
  t.equal(
    knownAnswer({ replies: [] }, callers, null, 'open', 'a', { ...context, commandId: 'k-2' }),
    undefined,
  );
});

t.test('one that goes on after a restart is not joined by another command with its key', async (t) => {
  await t.rejects(Promise.resolve(knownAnswer({ replies: [] }, callers, open, 'close', 'b', context)), {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  const joined = knownAnswer({ replies: [] }, callers, open, undefined, '', context);
  callers.answer('k-1', { value: 'later' });
  t.equal(await joined, 'later', 'who only knows the id asks for whatever it is');
});

t.test('a command that comes too late says that it is the end, and not to wait', async (t) => {
  t.match(wrongState('sandbox', 'destroyed', 'pause', null), {
    detail: /no commands any more/,
    data: { allowed: [] },
  });
  t.match(wrongState('sandbox', 'pausing.freezing', 'pause', []), { detail: /when that is over/ });
  t.match(wrongState('loop-registry', 'failed', 'list', ['leaks']), {
    detail: /^The loop registry .* leaks\.$/,
  });
});

import t from 'tap';
import { GuestSessions } from '../../../src/actors/sandbox/guest-sessions.ts';

const outside = new AbortController().signal;

t.test('a cut ends the requests that are open to that sandbox, and no others', async (t) => {
  const sessions = new GuestSessions();
  const [one, two, other] = [
    sessions.open('sb-1', outside),
    sessions.open('sb-1', outside),
    sessions.open('sb-2', outside),
  ];
  sessions.cut('sb-1');
  t.match(
    [one.signal.reason, two.signal.reason],
    [{ code: 'EXEC_INTERRUPTED' }, { code: 'EXEC_INTERRUPTED' }],
  );
  t.equal(other.signal.aborted, false);
  sessions.cut('unknown');
});

t.test('a request that was closed is not cut', async (t) => {
  const sessions = new GuestSessions();
  const one = sessions.open('sb-1', outside);
  one.close();
  one.close();
  sessions.cut('sb-1');
  t.equal(one.signal.aborted, false);
});

t.test('requests of the next run are not touched by what is left of the one before', async (t) => {
  const sessions = new GuestSessions();
  const old = sessions.open('sb-1', outside);
  sessions.cut('sb-1');
  const young = sessions.open('sb-1', outside);
  old.close();
  t.equal(young.signal.aborted, false);
  sessions.cut('sb-1');
  t.equal(young.signal.aborted, true);
});

t.test('the caller can go too, with a reason of its own', async (t) => {
  const sessions = new GuestSessions();
  const caller = new AbortController();
  const one = sessions.open('sb-1', caller.signal);
  caller.abort(new Error('gone'));
  t.equal(one.signal.reason.message, 'gone');
  t.equal(sessions.open('sb-1', caller.signal).signal.aborted, true);
});

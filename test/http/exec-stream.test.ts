import t from 'tap';
import type { ExecReply } from '../../src/actors/sandbox/protocol.ts';
import { ioSubject } from '../../src/bus/subjects.ts';
import { type Clock, systemClock } from '../../src/clock.ts';
import { toDormouseError } from '../../src/errors/index.ts';
import { streamExec } from '../../src/http/exec-stream.ts';
import { problemOf } from '../../src/http/problem.ts';
import { connectTestBus, flushed } from '../support/bus.ts';
import { startTestNats } from '../support/nats.ts';

const nats = await startTestNats(t);
const [bus, far] = await Promise.all([connectTestBus(t, nats.url), connectTestBus(t, nats.url)]);
const problem = (thrown: unknown) => problemOf(toDormouseError(thrown), 'r-1');

t.test('a silent program has an empty line now and then, and none after its end', async (t) => {
  const timers = new Set<() => void>();
  const clock: Clock = {
    ...systemClock,
    after: (_delayMs, fire) => {
      timers.add(fire);
      return { cancel: () => timers.delete(fire) };
    },
  };
  const pass = (): void => {
    for (const fire of [...timers]) {
      timers.delete(fire);
      fire();
    }
  };
  const ended = Promise.withResolvers<ExecReply>();
  const begun = streamExec({ bus, clock, problemOf: problem }, 'c-silent', () => ended.promise);
  pass();
  const lines = await begun;
  pass();
  ended.resolve({ exit_code: 0 } as ExecReply);
  let text = '';
  for await (const chunk of lines) text += chunk;
  t.equal(text, '\n\n{"result":{"exit_code":0}}\n');
  t.equal(timers.size, 0, 'no timer is left');
});

t.test('a reader that does not read keeps only so much of the output, from its beginning', async (t) => {
  const ended = Promise.withResolvers<ExecReply>();
  const ports = { bus, clock: systemClock, problemOf: problem };
  const begun = streamExec(ports, 'c-slow', () => ended.promise);
  await flushed(bus);
  const bytes = 512 * 1024;
  const sent = 60;
  for (let part = 0; part < sent; part++)
    far.publish(
      ioSubject('c-slow', 'stdout'),
      Buffer.from(String.fromCharCode(65 + (part % 26)).repeat(bytes)),
    );
  await flushed(far);
  const lines = await begun;
  await flushed(bus);
  ended.resolve({ exit_code: 0 } as ExecReply);
  let text = '';
  for await (const chunk of lines) text += chunk;
  const documents = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.same(documents.pop(), { result: { exit_code: 0 } });
  t.ok(documents.length > 30 && documents.length < 40, `${documents.length} of ${sent} were kept`);
  for (const [part, { data }] of documents.entries())
    t.equal(data[0] + data.length, String.fromCharCode(65 + (part % 26)) + bytes, `part ${part}`);
});

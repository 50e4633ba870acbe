import { once } from 'node:events';
import { connect, headers } from '@nats-io/transport-node';
import t from 'tap';
import { Type } from 'typebox';
import { defineCommand } from '../../src/actors/system/command.ts';
import { endpoint } from '../../src/bus/types.ts';
import { DormouseError } from '../../src/errors/index.ts';
import { connectTestBus, flushed } from '../support/bus.ts';
import { startTestNats, until } from '../support/nats.ts';

const closed = { additionalProperties: false } as const;
const add = defineCommand({
  name: 'add',
  summary: 'Adds two numbers.',
  request: Type.Object({ a: Type.Number(), b: Type.Optional(Type.Number()) }, closed),
  reply: Type.Object({ sum: Type.Number() }, closed),
  defaultTimeoutMs: 5_000,
});
const wait = defineCommand({
  name: 'wait',
  summary: 'Answers when the test says so.',
  request: Type.Object({}, closed),
  reply: Type.Object({}, closed),
  defaultTimeoutMs: 10_000,
});
/** The same command as an older or broken peer sees it: it takes anything. */
const looseAdd = { ...add, request: Type.Object({}) };
const looseReply = { ...add, reply: Type.Unknown() };

t.test('request and reply', async (t) => {
  const server = await startTestNats(t);
  const caller = await connectTestBus(t, server.url);
  const actor = await connectTestBus(t, server.url);
  const raw = await connect({ servers: server.url });
  t.teardown(() => raw.close());

  t.test('a command reaches its handler with what travels beside it', async (t) => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const deadlineMs = Date.now() + 3_000;
    const responder = actor.serve('test.add', add, async (body, context, subject) => {
      t.match(context, { commandId: 'my-id', deadlineMs, traceparent, signal: { aborted: false } });
      t.equal(subject, 'test.add');
      return { sum: body.a + (body.b ?? 0) };
    });
    await flushed(actor);
    const options = { commandId: 'my-id', deadlineMs, traceparent };
    t.same(await caller.request('test.add', add, { a: 1, b: 2 }, options), { sum: 3 });
    t.same(await caller.request('test.add', add, { a: 1, b: undefined }, options), { sum: 1 });
    await responder.close();
    await t.rejects(caller.request('test.add', add, { a: 1 }), { code: 'HOST_UNREACHABLE' });
    await t.rejects(caller.request('test.add', add, { a: 1 }, { unanswered: 'SANDBOX_NOT_FOUND' }), {
      code: 'SANDBOX_NOT_FOUND',
    });
  });

  t.test('a plain nats req works, and errors are what its tools expect', async (t) => {
    const responder = actor.serveAll('test.plain', [
      endpoint(add, async (body, context) => {
        t.match(context.commandId, /^c-[a-z2-7]{20}$/);
        t.ok(Math.abs(context.deadlineMs - Date.now() - add.defaultTimeoutMs) < 2_000);
        return { sum: body.a };
      }),
      endpoint(wait, async () => ({})),
    ]);
    await flushed(actor);
    t.same((await raw.request('test.plain.add', '{"a":5}')).json(), { sum: 5 });
    t.same((await raw.request('test.plain.wait')).json(), {}, 'no body at all counts as {}');

    const invalid = await raw.request('test.plain.add', '{"a":"x","c":1}');
    t.equal(invalid.headers?.get('Nats-Service-Error-Code'), '400');
    t.match(invalid.headers?.get('Nats-Service-Error'), /^INVALID_REQUEST: add: /);
    t.match(invalid.json(), {
      code: 'INVALID_REQUEST',
      data: {
        problems: [
          { path: '/c', message: 'is not a known field' },
          { path: '/a', message: 'must be number' },
        ],
      },
    });
    t.match((await raw.request('test.plain.add', '{"a":')).json(), { code: 'MALFORMED_JSON' });
    t.match((await raw.request('test.plain.add', new Uint8Array([0xff]))).json(), { code: 'MALFORMED_JSON' });
    t.match((await raw.request('test.plain.add', 'null')).json(), { code: 'INVALID_REQUEST' });
    t.match((await raw.request('test.plain.melt', '{}')).json(), {
      code: 'INVALID_REQUEST',
      data: { command: 'melt', allowed: ['add', 'wait'] },
    });
    for (const [name, value] of [
      ['Dormouse-Deadline', 'soon'],
      ['Dormouse-Command-Id', 'a b'],
    ] as const) {
      const bad = headers();
      bad.set(name, value);
      const refused = await raw.request('test.plain.add', '{"a":5}', { headers: bad, timeout: 2_000 });
      t.match(refused.json(), { code: 'INVALID_REQUEST' }, name);
    }
    await responder.close();
  });

  t.test('bodies and replies are checked on both ends', async (t) => {
    let called = 0;
    const responder = actor.serve('test.checked', add, async () => {
      called += 1;
      return { sum: 'three' } as unknown as { sum: number };
    });
    const loose = actor.serve('test.loose', looseReply, async () => ({ sum: 'three' }));
    await flushed(actor);
    const wrong = { a: 'one' } as unknown as { a: number };
    await t.rejects(caller.request('test.checked', add, wrong), { code: 'INVALID_REQUEST' }, 'by the caller');
    await t.rejects(
      caller.request('test.checked', looseAdd, wrong),
      { code: 'INVALID_REQUEST', data: { problems: [{ path: '/a' }] } },
      'by the responder',
    );
    t.equal(called, 0, 'the handler never saw it');
    await t.rejects(caller.request('test.checked', add, { a: 1 }), { code: 'BAD_REPLY' }, 'by the responder');
    t.equal(called, 1);
    await t.rejects(caller.request('test.loose', add, { a: 1 }), { code: 'BAD_REPLY' }, 'by the caller');
    await responder.close();
    await loose.close();
  });

  t.test('errors keep code, detail, data and causes; unknown ones say nothing of the inside', async (t) => {
    const responder = actor.serveAll('test.fail', [
      endpoint(add, async () => {
        throw new DormouseError('SANDBOX_WRONG_STATE', 'It is päused.\r\nX: y', {
          data: { state: 'paused' },
          cause: new Error('underneath'),
        });
      }),
      endpoint(wait, async () => {
        throw new Error('secret path');
      }),
    ]);
    await flushed(actor);
    const known = await caller.request('test.fail.add', add, { a: 1 }).catch((error: unknown) => error);
    t.match(known, {
      code: 'SANDBOX_WRONG_STATE',
      detail: 'It is päused.\r\nX: y',
      data: { state: 'paused' },
      cause: { message: 'underneath' },
    });
    const plain = await raw.request('test.fail.add', '{"a":1}');
    t.equal(plain.headers?.get('Nats-Service-Error'), 'SANDBOX_WRONG_STATE: It is p used. X: y');
    const unknown = await raw.request('test.fail.wait');
    t.equal(unknown.headers?.get('Nats-Service-Error-Code'), '500');
    t.match(unknown.json(), { code: 'INTERNAL' });
    t.notMatch(JSON.stringify(unknown.json<{ detail: string }>().detail), /secret|test\.ts/);
    await responder.close();
  });

  t.test('deadlines', async (t) => {
    const aborted: unknown[] = [];
    let begun = 0;
    const responder = actor.serve('test.deadline', wait, async (_body, { signal }) => {
      begun += 1;
      await once(signal, 'abort');
      aborted.push(signal.reason);
      throw signal.reason;
    });
    await flushed(actor);
    const startedAt = performance.now();
    const late = caller.request('test.deadline', wait, {}, { deadlineMs: Date.now() + 2_000 });
    await t.rejects(late, { code: 'DEADLINE_EXCEEDED' });
    t.ok(performance.now() - startedAt < 10_000, 'ends at the deadline, not at the default');
    await until(() => aborted.length === 1, 'the handler is told');
    t.match(aborted[0], { code: 'DEADLINE_EXCEEDED' });

    await t.rejects(caller.request('test.deadline', wait, {}, { deadlineMs: Date.now() - 1 }), {
      code: 'DEADLINE_EXCEEDED',
    });
    const past = headers();
    past.set('Dormouse-Deadline', String(Date.now() - 1));
    const refused = await raw.request('test.deadline', '{}', { headers: past, timeout: 2_000 });
    t.match(refused.json(), { code: 'DEADLINE_EXCEEDED' });
    t.equal(begun, 1, 'a command that comes after its deadline is not begun');
    await responder.close();
  });

  t.test('a caller that leaves cancels its own request and no other', async (t) => {
    const signals: AbortSignal[] = [];
    const release = new AbortController();
    const responder = actor.serve('test.cancel', wait, async (_body, { signal }) => {
      signals.push(signal);
      await once(release.signal, 'abort');
      return {};
    });
    await flushed(actor);
    const leaving = new AbortController();
    const first = caller.request('test.cancel', wait, {}, { commandId: 'same', signal: leaving.signal });
    await until(() => signals.length === 1, 'the first is at work');
    const second = caller.request('test.cancel', wait, {}, { commandId: 'same' });
    await until(() => signals.length === 2, 'both are at work');
    leaving.abort();
    await t.rejects(first, { code: 'CANCELLED' });
    await until(() => signals[0]!.aborted, 'the handler is told');
    t.match(signals[0]!.reason, { code: 'CANCELLED' });
    t.equal(signals[1]!.aborted, false);
    release.abort();
    t.same(await second, {});
    await t.rejects(caller.request('test.cancel', wait, {}, { signal: leaving.signal }), {
      code: 'CANCELLED',
    });
    await t.rejects(caller.request('test.cancel', wait, {}, { abandon: leaving.signal }), {
      code: 'CANCELLED',
    });
    t.equal(signals.length, 2, 'a signal that was aborted before sends nothing');
    await responder.close();
  });

  t.test('beyond its bound a responder refuses', async (t) => {
    const release = new AbortController();
    const responder = actor.serve(
      'test.bound',
      wait,
      async () => {
        await once(release.signal, 'abort');
        return {};
      },
      { maxInFlight: 3 },
    );
    await flushed(actor);
    let refused = 0;
    const all = Array.from({ length: 200 }, () =>
      caller.request('test.bound', wait, {}).catch((error: DormouseError) => {
        t.equal(error.code, 'MAILBOX_FULL');
        refused += 1;
      }),
    );
    await until(() => refused === 197, 'those beyond the bound are refused while the others are at work');
    release.abort();
    const answered = (await Promise.all(all)).filter((reply) => reply !== undefined);
    t.equal(answered.length, 3);
    await responder.close();
  });

  t.test('a queue group shares the work; without one every responder gets it', async (t) => {
    const other = await connectTestBus(t, server.url);
    const counts = [0, 0];
    for (const [at, bus] of [actor, other].entries()) {
      bus.serve(
        'test.queue',
        wait,
        async () => {
          counts[at]! += 1;
          return {};
        },
        { queue: 'workers' },
      );
      await flushed(bus);
    }
    await Promise.all(Array.from({ length: 200 }, () => caller.request('test.queue', wait, {})));
    t.equal(counts[0]! + counts[1]!, 200);
    t.ok(counts[0]! > 0 && counts[1]! > 0, `both work: ${counts}`);
  });

  t.test('messages that are too large are refused on both ends', async (t) => {
    const big = defineCommand({
      ...wait,
      name: 'big',
      request: Type.Object({ text: Type.String() }),
      reply: Type.String(),
    });
    const responder = actor.serve('test.big', big, async () => 'x'.repeat(2 * 1024 * 1024));
    await flushed(actor);
    const tooLarge = { text: 'x'.repeat(2 * 1024 * 1024) };
    await t.rejects(caller.request('test.big', big, tooLarge), { code: 'PAYLOAD_TOO_LARGE' }, 'request');
    await t.rejects(caller.request('test.big', big, { text: '' }), { code: 'PAYLOAD_TOO_LARGE' }, 'reply');
    await responder.close();
  });

  t.test('a drain finishes what is at work and takes nothing new', async (t) => {
    const leaving = await connectTestBus(t, server.url);
    const release = new AbortController();
    let begun = 0;
    leaving.serve('test.drain', wait, async () => {
      begun += 1;
      await once(release.signal, 'abort');
      // A handler may need the bus to finish.
      return leaving.request('test.drain.helper', wait, {});
    });
    const helper = actor.serve('test.drain.helper', wait, async () => ({}));
    await Promise.all([flushed(leaving), flushed(actor)]);
    const statuses: string[] = [];
    leaving.onStatus((status) => statuses.push(status));
    const atWork = caller.request('test.drain', wait, {});
    await until(() => begun === 1, 'at work');
    const drained = leaving.drain();
    await until(
      () =>
        caller.request('test.drain', wait, {}, { deadlineMs: Date.now() + 100 }).then(
          () => false,
          (error) => error.code === 'HOST_UNREACHABLE',
        ),
      'nothing new is taken',
    );
    release.abort();
    t.same(await atWork, {});
    await drained;
    await leaving.drain();
    t.equal(leaving.status(), 'closed');
    t.same(statuses, ['closed']);
    await t.rejects(leaving.request('test.drain', wait, {}), { code: 'BUS_UNAVAILABLE' });
    await helper.close();
  });

  t.test('what is sent while a connection closes is dropped, and throws nothing', async (t) => {
    const leaving = await connectTestBus(t, server.url);
    const release = new AbortController();
    let begun = 0;
    const holding = actor.serve('test.late', wait, async () => {
      begun += 1;
      await once(release.signal, 'abort');
      return {};
    });
    await flushed(actor);
    const gone = new AbortController();
    const late = leaving.request('test.late', wait, {}, { signal: gone.signal });
    late.catch(() => {});
    await until(() => begun === 1, 'at work');
    let isOver = false;
    const drained = leaving.drain().then(() => {
      isOver = true;
    });
    let fails = 0;
    while (!isOver) {
      try {
        leaving.publish('test.nobody', new Uint8Array());
      } catch {
        fails += 1;
      }
      await new Promise((resolve) => setImmediate(resolve));
      gone.abort();
    }
    t.equal(fails, 0);
    await t.rejects(late, { code: 'CANCELLED' });
    await drained;
    release.abort();
    await holding.close();
  });
});

import type { FastifyRequest } from 'fastify';
import t from 'tap';
import { EventStream, EventStreams } from '../../src/http/event-stream.ts';
import { listenEdge } from '../../src/http/index.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { until } from '../support/nats.ts';
import { quiet } from '../support/quiet.ts';
import { readEvents } from './event-reader.ts';
import { addRecord, startWorld } from './support.ts';

/** All that the reader got since the last call. */
function read({ body }: EventStream): string {
  return String(body.read() ?? '');
}

t.test('an event is sent with its id and its data in one line; those of a moment together', async (t) => {
  const clock = fakeClock();
  const stream = new EventStream(clock);
  t.equal(read(stream), 'retry: 1000\n\n', 'the reader gets its headers at once');
  stream.send({ event: 'a', data: { text: 'two\nlines' }, id: '7' });
  clock.advance(49);
  stream.send({ event: 'b', data: null });
  t.equal(read(stream), '', 'nothing yet');
  clock.advance(1);
  t.equal(read(stream), 'id: 7\nevent: a\ndata: {"text":"two\\nlines"}\n\nevent: b\ndata: null\n\n');
  stream.end();
});

t.test('much is sent at once', async (t) => {
  const stream = new EventStream(fakeClock());
  read(stream);
  stream.send({ event: 'a', data: 'x'.repeat(40_000) });
  t.ok(read(stream).length > 40_000);
  stream.end();
});

t.test('a silent stream is kept alive', async (t) => {
  const clock = fakeClock();
  const stream = new EventStream(clock);
  read(stream);
  clock.advance(14_999);
  t.equal(read(stream), '');
  clock.advance(15_001);
  t.equal(read(stream), ':\n\n:\n\n');
  stream.send({ event: 'a', data: 1 });
  clock.advance(50);
  read(stream);
  clock.advance(14_999);
  t.equal(read(stream), '', 'an event is a sign of life, too');
  stream.end();
});

t.test('who sends waits for who reads', async (t) => {
  const stream = new EventStream(fakeClock());
  for (let count = 0; stream.hasRoom && count < 100; count++)
    stream.send({ event: 'a', data: 'x'.repeat(40_000) });
  t.equal(stream.hasRoom, false);
  let isReady = false;
  const ready = stream.ready().then(() => {
    isReady = true;
  });
  await new Promise(setImmediate);
  t.equal(isReady, false);
  stream.body.resume();
  await ready;
  t.equal(stream.hasRoom, true);
  await stream.ready();
  stream.end();
});

t.test('nobody waits for a reader that has gone', async (t) => {
  const caller = new AbortController();
  const clock = fakeClock();
  const stream = new EventStream(clock, caller.signal);
  while (stream.hasRoom) stream.send({ event: 'a', data: 'x'.repeat(40_000) });
  const ready = stream.ready();
  caller.abort();
  await ready;
  t.equal(stream.signal.aborted, true);
  t.same(clock.armed(), [], 'no timer is left');
  stream.send({ event: 'b', data: 1 });
  stream.end();
  t.equal(new EventStream(clock, caller.signal).signal.aborted, true, 'one that was gone before');
});

t.test('an answer that is torn down ends the stream', async (t) => {
  const stream = new EventStream(fakeClock());
  const closed = new Promise((resolve) => stream.body.once('close', resolve));
  stream.body.destroy(new Error('reset by peer'));
  await closed;
  t.equal(stream.signal.aborted, true);
});

t.test('the end: what waits is sent before it; after some minutes it comes by itself', async (t) => {
  const clock = fakeClock();
  const stream = new EventStream(clock);
  read(stream);
  stream.send({ event: 'a', data: 1 });
  stream.end();
  t.equal(read(stream), 'event: a\ndata: 1\n\n');
  t.equal(stream.body.writableEnded, true);

  const lasting = new EventStream(clock);
  clock.advance(10 * 60_000);
  t.equal(lasting.signal.aborted, true);
  t.same(clock.armed(), []);

  const stuck = new EventStream(clock);
  while (stuck.hasRoom) stuck.send({ event: 'a', data: 'x'.repeat(40_000) });
  stuck.end();
  t.equal(stuck.body.destroyed, true, 'a reader that does not read does not keep it');
});

t.test('an edge has so many streams and no more', async (t) => {
  const streams = new EventStreams(fakeClock(), quiet);
  const open = (caller?: AbortSignal) => streams.open({ caller } as FastifyRequest);
  open(AbortSignal.abort());
  const all = Array.from({ length: 2_000 }, () => open());
  t.throws(() => open(), { code: 'RATE_LIMITED' });
  all[0]?.end();
  open();
  t.throws(() => open(), { code: 'RATE_LIMITED' });
  streams.close();
  t.ok(all.every(({ signal }) => signal.aborted));
  open().end();
});

t.test('one team cannot take all of them', async (t) => {
  const streams = new EventStreams(fakeClock(), quiet);
  const open = (teamId: string) =>
    streams.open({ principal: { keyId: teamId, teamId, expiresAt: null } } as FastifyRequest);
  const greedy = Array.from({ length: 500 }, () => open('a'));
  t.throws(() => open('a'), { code: 'RATE_LIMITED' });
  open('b');
  greedy[0]?.end();
  open('a');
  streams.close();
});

t.test('a stream ends with its key', async (t) => {
  const clock = fakeClock();
  const streams = new EventStreams(clock, quiet);
  const open = (keyId: string, expiresAt: Date | null = null) =>
    streams.open({ principal: { keyId, expiresAt } } as FastifyRequest);
  const [revoked, kept, expiring] = [open('a'), open('b'), open('b', new Date(clock.nowMs() + 60_000))];
  streams.endOf(({ keyId }) => keyId === 'a');
  t.same([revoked.signal.aborted, kept.signal.aborted], [true, false]);
  clock.advance(59_999);
  t.equal(expiring.signal.aborted, false);
  clock.advance(1);
  t.same([expiring.signal.aborted, kept.signal.aborted], [true, false]);
  streams.close();
});

t.test('an edge that stops does not wait for its streams', async (t) => {
  const world = await startWorld(t);
  const edge = await world.newEdge();
  const team = await world.newTeam(['read']);
  const view = await addRecord(world.records, team);
  const url = `/v1/sandboxes/${view.id}/inspection/stream`;
  const inside = await readEvents(t, edge, url, { key: team.key });
  const address = await listenEdge(edge, { host: '127.0.0.1', port: 0 });
  const outside = await fetch(new URL(url, address), { headers: { 'x-api-key': team.key } });
  t.match(outside.headers.get('content-type'), /^text\/event-stream/);
  const text = outside.text();
  // The default is to wait for ten seconds.
  const began = performance.now();
  await edge.close();
  t.ok(performance.now() - began < 5_000);
  t.match(await text, /^retry: 1000\n\n/);
  await until(() => inside.isEnded(), 'both have ended');
});

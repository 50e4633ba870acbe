import fc from 'fast-check';
import t from 'tap';
import {
  cancelledReply,
  cancelSubject,
  eventSubject,
  hostSubject,
  inspectSubject,
  ioSubject,
  loopRegistrySubject,
  sandboxSubject,
  watchSubject,
} from '../../src/bus/subjects.ts';
import { newHostId, newSandboxId } from '../../src/ids.ts';
import { TEAM } from '../support/bus.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);

t.test('subjects of well-formed ids', async (t) => {
  const sandbox = newSandboxId();
  const host = newHostId();
  t.equal(sandboxSubject(TEAM, sandbox), `dormouse.sandbox.${TEAM}.${sandbox}`);
  t.equal(hostSubject(host), `dormouse.host.${host}`);
  t.equal(loopRegistrySubject(host), `dormouse.loop-registry.${host}`);
  t.equal(eventSubject(TEAM, sandbox, 'paused'), `dormouse.event.sandbox.${TEAM}.${sandbox}.paused`);
  t.equal(ioSubject('x1', 'stdout'), 'dormouse.io.x1.stdout');
  const one = { kind: 'sandbox', teamId: TEAM, id: sandbox } as const;
  t.equal(watchSubject(one), `dormouse.watch.sandbox.${TEAM}.${sandbox}`);
  t.equal(inspectSubject(one), `dormouse.inspect.sandbox.${TEAM}.${sandbox}`);
  t.equal(watchSubject({ ...one, id: 'all' }), `dormouse.watch.sandbox.${TEAM}.all`);
  t.equal(inspectSubject({ ...one, id: 'all' }), `dormouse.inspect.sandbox.${TEAM}.*`);
  t.equal(watchSubject({ kind: 'host', hostId: host }), `dormouse.watch.host.${host}`);
  t.equal(inspectSubject({ kind: 'loop-registry', hostId: host }), `dormouse.inspect.loop-registry.${host}`);
  t.equal(cancelledReply(cancelSubject('_INBOX.a.b')), '_INBOX.a.b');
});

t.test('nothing that means something to NATS gets into a token', async (t) => {
  const sandbox = newSandboxId();
  /** Each builder with one of its tokens left open, and how many tokens its subject has. */
  const builders: Array<[build: (token: string) => string, tokens: number]> = [
    [(token) => sandboxSubject(token, sandbox), 4],
    [(token) => sandboxSubject(TEAM, token), 4],
    [hostSubject, 3],
    [loopRegistrySubject, 3],
    [(token) => eventSubject(token, sandbox, 'paused'), 6],
    [(token) => eventSubject(TEAM, token, 'paused'), 6],
    [(token) => eventSubject(TEAM, sandbox, token), 6],
    [(token) => ioSubject(token, 'stderr'), 4],
    [(teamId) => watchSubject({ kind: 'sandbox', teamId, id: sandbox }), 5],
    [(id) => watchSubject({ kind: 'sandbox', teamId: TEAM, id }), 5],
    [(id) => inspectSubject({ kind: 'sandbox', teamId: TEAM, id }), 5],
    [(hostId) => watchSubject({ kind: 'host', hostId }), 4],
    [(hostId) => inspectSubject({ kind: 'loop-registry', hostId }), 4],
  ];
  const wellFormed = fc.constantFrom(TEAM, sandbox, newHostId(), 'paused');
  const special = fc.constantFrom('.', '*', '>', ' ', '\t', '\r\n', '\n', '\0', '', '$', 'é');
  const hostile = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc
      .tuple(wellFormed, special, fc.nat(), fc.boolean())
      .map(([id, inserted, at, replace]) =>
        replace
          ? id.replaceAll(/./g, (c, i) => (i === at % id.length ? inserted : c))
          : id.slice(0, at % (id.length + 1)) + inserted + id.slice(at % (id.length + 1)),
      ),
  );
  let built = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.constantFrom(...builders), fc.oneof(wellFormed, hostile), ([build, tokens], token) => {
      let subject: string;
      try {
        subject = build(token);
      } catch (error) {
        refused += 1;
        return error instanceof RangeError;
      }
      built += 1;
      return (
        /^[A-Za-z0-9_.-]+$/.test(subject) && subject.split('.').length === tokens && !subject.includes('..')
      );
    }),
    { seed, numRuns: 3_000 },
  );
  t.ok(built > 100 && refused > 100, `both happened: ${built} built, ${refused} refused`);
});

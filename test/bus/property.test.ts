import fc from 'fast-check';
import t from 'tap';
import { Type } from 'typebox';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import { defineCommand } from '../../src/actors/system/command.ts';
import { hasCode } from '../../src/errors/index.ts';
import { connectTestBus, flushed } from '../support/bus.ts';
import { startTestNats } from '../support/nats.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const parameters = { seed, numRuns: 300 };

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const validExec = fc.record(
  {
    cmd: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    argv: fc.array(text, { minLength: 1, maxLength: 5 }),
    env: fc.dictionary(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,10}$/), text, { maxKeys: 5 }),
    stdin: text,
    stdin_encoding: fc.constantFrom('utf8' as const, 'base64' as const),
    timeout_s: fc.double({ min: 0.001, max: 3600, noNaN: true }),
  },
  { requiredKeys: [] },
);

t.test('what a caller may send and what it gets', async (t) => {
  const server = await startTestNats(t);
  const caller = await connectTestBus(t, server.url);
  const actor = await connectTestBus(t, server.url);
  /** The reply carries what the handler saw. */
  const exec = { ...sandboxCommands.exec, reply: Type.Unknown() };
  const anyExec = defineCommand({ ...exec, request: Type.Object({}) });
  /** For bodies that are no objects. */
  const untyped = { ...anyExec, request: Type.Unknown() } as unknown as typeof anyExec;
  let calls = 0;
  actor.serve('test.exec', exec, async (body) => {
    calls += 1;
    return body;
  });
  await flushed(actor);

  await t.test('any body that passes the schema arrives equal', async (t) => {
    await fc.assert(
      fc.asyncProperty(validExec, async (body) => {
        t.same(await caller.request('test.exec', exec, body), body);
      }),
      parameters,
    );
    t.equal(calls, parameters.numRuns, 'each body reached the handler once');
  });

  await t.test('any other body never reaches the handler', async (t) => {
    calls = 0;
    const known = Object.keys(exec.request.properties);
    const unknownField = fc
      .tuple(
        validExec,
        text.filter((key) => !known.includes(key)),
        fc.jsonValue(),
      )
      .map(([body, key, value]) => Object.fromEntries([...Object.entries(body), [key, value]]));
    const wrongValue = fc
      .tuple(
        validExec,
        fc.constantFrom(
          ['cmd', ''],
          ['cmd', 1],
          ['argv', []],
          ['argv', 'ls'],
          ['argv', [1]],
          ['env', { 'a b': '' }],
          ['env', { a: null }],
          ['cwd', ''],
          ['user', '-rf'],
          ['user', 'a\nb'],
          ['stdin_encoding', 'hex'],
          ['timeout_s', 0],
          ['timeout_s', 3601],
          ['timeout_s', '5'],
        ),
      )
      .map(([body, [key, value]]) => ({ ...body, [String(key)]: value }));
    const notAnObject = fc.oneof(
      fc.constant(null),
      fc.array(fc.jsonValue()),
      fc.integer(),
      text,
      fc.boolean(),
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(unknownField, wrongValue, notAnObject), async (body) => {
        // Commands that let any body out of the caller, so that the responder has to refuse it.
        const outcome = caller.request('test.exec', isObject(body) ? anyExec : untyped, body as object);
        const error: unknown = await outcome.then(
          () => undefined,
          (thrown) => thrown,
        );
        // Thrown, not asserted: fast-check looks for the smallest body that gets through.
        if (!hasCode(error, 'INVALID_REQUEST')) throw new Error(`got through: ${String(error)}`);
        const { problems } = error.data as { problems: unknown[] };
        if (problems.length === 0 || problems.length > 8) throw new Error(`${problems.length} problems`);
      }),
      parameters,
    );
    t.equal(calls, 0);
  });
});

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { newRequestId, newSandboxId } from '../../src/ids.ts';
import { decodeCursor, encodeCursor, REQUEST_CURSOR } from '../../src/records/cursor.ts';
import { requireStorable, storable } from '../../src/records/storable.ts';

const seed = Number(process.env.DORMOUSE_TEST_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}; repeat with DORMOUSE_TEST_SEED`);
const parameters = { seed, numRuns: 500 };

t.test('a cursor is read as it was written', async (t) => {
  fc.assert(
    fc.property(fc.date({ noInvalidDate: true }), (createdAt) => {
      const position = { createdAt, id: newSandboxId() };
      assert.deepEqual(decodeCursor(encodeCursor(position)), position);
    }),
    parameters,
  );
  t.pass('for all dates');
});

t.test('anything else is refused, and nothing but refused', async (t) => {
  const json = fc.json().map((text) => Buffer.from(text).toString('base64url'));
  const pair = fc
    .tuple(fc.oneof(fc.double(), fc.string()), fc.oneof(fc.string(), fc.integer()))
    .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url'));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.base64String(), json, pair), (text) => {
      assert.throws(() => decodeCursor(text), { code: 'INVALID_REQUEST' });
    }),
    parameters,
  );
  const good = encodeCursor({ createdAt: new Date(1), id: newSandboxId() });
  for (const spoiled of [`${good}=`, `${good}A`, ` ${good}`, good.slice(1), good.slice(0, -1)])
    t.throws(() => decodeCursor(spoiled), { code: 'INVALID_REQUEST' }, spoiled);
});

t.test('a cursor of one list is none of another', async (t) => {
  const at = new Date(1);
  const request = encodeCursor({ createdAt: at, id: newRequestId() });
  t.match(decodeCursor(request, REQUEST_CURSOR), { createdAt: at });
  t.throws(() => decodeCursor(request), { code: 'INVALID_REQUEST' });
  for (const id of ['', 'a b', 'a\n', 'x'.repeat(129)])
    t.throws(() => decodeCursor(encodeCursor({ createdAt: at, id }), REQUEST_CURSOR), {
      code: 'INVALID_REQUEST',
    });
});

t.test('what PostgreSQL cannot store is replaced, or refused', async (t) => {
  const text = fc.string({ unit: fc.constantFrom('a', '\0', '\ud83d', '\ude00', 'ü') });
  fc.assert(
    fc.property(fc.dictionary(text, fc.array(text)), (value) => {
      const stored = JSON.stringify(storable(value));
      assert.doesNotMatch(stored, /\\u0000|\\ud[89a-f]/);
      assert.deepEqual(storable(storable(value)), storable(value));
      if (stored === JSON.stringify(value)) requireStorable(value, 'It');
      else assert.throws(() => requireStorable(value, 'It'), { code: 'INVALID_REQUEST', detail: /^It has/ });
    }),
    parameters,
  );
  t.same(storable({ a: [null, 1, true, 'x\0y'] }), { a: [null, 1, true, 'x\uFFFDy'] });
  const at = new Date(1);
  t.equal(storable({ at }).at, at, 'a time stays what it is');
});

import fc from 'fast-check';
import t from 'tap';
import {
  catalogue,
  DormouseError,
  type ErrorCode,
  hasCode,
  isErrorCode,
  messageOf,
  toDormouseError,
} from '../../src/errors/index.ts';

const codes = Object.keys(catalogue) as ErrorCode[];

t.test('every entry has a status and an answer that agree', async (t) => {
  // What Node's client and every proxy can carry, plus 499, which nginx made usual for a caller that has gone.
  const known = new Set([
    400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 499, 500, 502, 503, 504, 507,
  ]);
  for (const code of codes) {
    const { status, answer, title } = catalogue[code];
    t.match(code, /^[A-Z]+(_[A-Z]+)*$/, code);
    t.ok(known.has(status), `${code} has status ${status}`);
    t.ok(['refused', 'retry', 'stuck'].includes(answer), code);
    t.match(title, /^[A-Z].*[^.]$/, `${code} has a title without a full stop`);
    if (answer === 'stuck')
      t.ok(status >= 500, `${code}: what only a person can mend is no fault of the caller`);
    if (status === 503) t.equal(answer, 'retry', `${code}: 503 says that it may work later`);
    if (status < 500 && ![408, 409, 429, 499].includes(status))
      t.equal(answer, 'refused', `${code}: the request is at fault`);
  }
  const titles = codes.map((code) => catalogue[code].title);
  t.equal(new Set(titles).size, titles.length, 'no two titles are the same');
});

t.test('what is no code is not taken for one', async (t) => {
  for (const code of codes) t.ok(isErrorCode(code));
  for (const other of ['', 'toString', '__proto__', 'constructor', 'internal', 500, null, undefined, {}, []])
    t.notOk(isErrorCode(other), String(other));
});

t.test('an error says its code, status, answer and cause', async (t) => {
  const cause = new Error('EBUSY');
  const error = new DormouseError('DEVICE_BUSY', 'Somebody has it open.', { data: { device: 'x' }, cause });
  t.match(error, { name: 'DormouseError', status: 503, answer: 'retry', data: { device: 'x' }, cause });
  t.equal(error.message, 'DEVICE_BUSY: Somebody has it open.');
  t.ok(error instanceof Error);
  t.notOk('cause' in new DormouseError('INTERNAL', 'x'));
  t.ok(hasCode(error, 'DEVICE_BUSY'));
  t.notOk(hasCode(error, 'INTERNAL'));
  t.notOk(hasCode(Object.assign(new Error('x'), { code: 'DEVICE_BUSY' }), 'DEVICE_BUSY'));
});

t.test('whatever was thrown becomes an error with a code, once', async (t) => {
  const own = new DormouseError('DISK_FULL', 'full');
  t.equal(toDormouseError(own, 'STEP_FAILED', 'x'), own);
  const cause = new TypeError('bad');
  const wrapped = toDormouseError(cause, 'STEP_FAILED', 'makeDisk failed.');
  t.match(wrapped, { code: 'STEP_FAILED', detail: 'makeDisk failed.', cause });
  t.match(toDormouseError(cause), { code: 'INTERNAL', detail: 'bad' });
  t.notOk(toDormouseError(cause).cause, 'a message that is the detail already is not repeated');
  for (const thrown of ['text', 42, null, undefined, { message: 'no error' }])
    t.equal(toDormouseError(thrown).detail, messageOf(thrown));
});

t.test('property: the plain form of an error is read back as it was, also through JSON', async (t) => {
  const record = fc.record(
    {
      code: fc.constantFrom(...codes),
      detail: fc.string(),
      data: fc.dictionary(
        fc.string().filter((key) => key !== '__proto__'),
        fc.jsonValue(),
        { maxKeys: 4 },
      ),
      causes: fc.array(fc.string(), { minLength: 1, maxLength: 8 }),
    },
    { requiredKeys: ['code', 'detail'] },
  );
  const result = fc.check(
    fc.property(record, (before) => {
      const text = JSON.stringify(before);
      const after = JSON.stringify(DormouseError.fromRecord(JSON.parse(text)).toRecord());
      return after === JSON.stringify(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test('the causes are told outermost first, and not without end', async (t) => {
  const inner = new Error('inner');
  const outer = new Error('outer', { cause: inner });
  t.same(new DormouseError('INTERNAL', 'x', { cause: outer }).toRecord().causes, ['outer', 'inner']);
  t.same(new DormouseError('INTERNAL', 'x', { cause: 'text' }).toRecord().causes, ['text']);
  t.notOk('causes' in new DormouseError('INTERNAL', 'x').toRecord());
  const loop = new Error('loop');
  loop.cause = loop;
  t.equal(new DormouseError('INTERNAL', 'x', { cause: loop }).toRecord().causes?.length, 8);
});

t.test('a code that this version does not know is internal, and is told', async (t) => {
  const error = DormouseError.fromRecord({
    code: 'FROM_THE_FUTURE',
    detail: 'what happened',
    data: { a: 1 },
  });
  t.match(error, { code: 'INTERNAL', detail: 'FROM_THE_FUTURE: what happened', data: { a: 1 } });
});

import fc from 'fast-check';
import t from 'tap';
import { fingerprintOf, stableJson } from '../../../src/actors/system/fingerprint.ts';

/** The same value with the keys of every object in the reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, inner]) => [key, reversed(inner)])
      .reverse(),
  );
}
const body = fc.dictionary(
  fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
  fc.jsonValue(),
);

t.test('the order of keys does not matter, everything else does', async (t) => {
  const same = fc.check(
    fc.property(body, (one) => fingerprintOf('pause', one) === fingerprintOf('pause', reversed(one))),
  );
  t.notOk(same.failed, `seed ${same.seed}, counterexample ${JSON.stringify(same.counterexample)}`);
  const parsed = fc.check(
    fc.property(body, (one) => {
      const text = JSON.stringify(JSON.parse(stableJson(one)));
      return text === JSON.stringify(JSON.parse(stableJson(JSON.parse(JSON.stringify(one)))));
    }),
  );
  t.notOk(parsed.failed, `seed ${parsed.seed}, counterexample ${JSON.stringify(parsed.counterexample)}`);
  const other = fc.check(
    fc.property(
      body,
      body,
      (one, two) =>
        fingerprintOf('pause', one) !== fingerprintOf('pause', two) || stableJson(one) === stableJson(two),
    ),
  );
  t.notOk(other.failed, `seed ${other.seed}, counterexample ${JSON.stringify(other.counterexample)}`);
});

t.test('the command and the order in a list count', async (t) => {
  t.not(fingerprintOf('pause', {}), fingerprintOf('resume', {}));
  t.not(fingerprintOf('exec', { argv: ['a', 'b'] }), fingerprintOf('exec', { argv: ['b', 'a'] }));
  t.not(fingerprintOf('exec', { cmd: '1' }), fingerprintOf('exec', { cmd: 1 }));
});

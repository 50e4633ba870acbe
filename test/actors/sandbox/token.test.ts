import fc from 'fast-check';
import t from 'tap';
import { bootToken, runToken } from '../../../src/actors/sandbox/token.ts';

const hex = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const execution = fc.integer({ min: 1, max: 1_000_000 });

t.test(
  'property: each run of each sandbox has a token of its own, and it can be derived again',
  async (t) => {
    const result = fc.check(
      fc.property(hex, hex, execution, execution, (one, two, a, b) => {
        const token = runToken({ secret: one }, a);
        return (
          /^[0-9a-f]{64}$/.test(token) &&
          token === runToken({ secret: one }, a) &&
          token !== bootToken({ secret: one }, a) &&
          (a === b || token !== runToken({ secret: one }, b)) &&
          (one === two || token !== runToken({ secret: two }, a)) &&
          !token.includes(one)
        );
      }),
    );
    t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
  },
);

t.test('the derivation is the same in every version', async (t) => {
  // A guest that was paused by an older version accepts the token of that version. From `openssl dgst -sha256 -mac HMAC`.
  const secret = '0b'.repeat(32);
  t.equal(runToken({ secret }, 1), '421021774d5ae12900880a8a56bc370bb84e8770d893e6023125bf8ffc1034ea');
  t.equal(bootToken({ secret }, 1), '872750306742e382a7092a7854706fcb4a61d5baef884a17a736669bb346cf17');
});

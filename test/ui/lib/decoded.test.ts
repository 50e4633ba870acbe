import t from 'tap';
import { decoded } from '../../../src/ui/lib/decoded.ts';

t.test('a part of an address is decoded where it can be', async (t) => {
  t.equal(decoded('h%20a%2Fb'), 'h a/b');
  t.equal(decoded('%'), '%');
  t.equal(decoded('%E0%A4%A'), '%E0%A4%A');
});

import t from 'tap';
import { serve } from '../browser.ts';

const { send, sentRequests } = await import('../../../src/ui/lib/send.ts');
const { keepKey } = await import('../../../src/ui/lib/session.ts');

t.test('what was sent with a key is not shown to another', async (t) => {
  await serve(t, (_, response) => response.end('{"secret":1}'));
  await send({ name: 'list', method: 'GET', path: '/v1/x' });
  t.match(sentRequests.value, [{ status: 200, answer: /secret/ }]);
  keepKey('another');
  t.same(sentRequests.value, []);
});

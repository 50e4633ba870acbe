import t from 'tap';
import { isLoopback } from '../src/loopback.ts';

t.test('names and addresses of this machine alone', async (t) => {
  for (const host of ['localhost', 'LocalHost', '127.0.0.1', '127.255.0.9', '::1', '[::1]'])
    t.ok(isLoopback(host), host);
  for (const host of [
    '',
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '128.0.0.1',
    '::2',
    'example.com',
    'localhost.',
    'x.localhost',
    '127.1',
    '127.0.0.1.example.com',
  ])
    t.notOk(isLoopback(host), host);
});

import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { createLogger } from '../src/log.ts';

const dir = await mkdtemp(path.join(os.tmpdir(), 'dormouse-log-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));

function logger(name: string, level: string) {
  const file = path.join(dir, name, 'dormouse.log');
  const log = createLogger('host', level, file);
  /** What was written, as soon as there are `count` lines. */
  const lines = async (count: number): Promise<Array<Record<string, unknown>>> => {
    for (;;) {
      const written = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1);
      if (written.length >= count) return written.map((line) => JSON.parse(line));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { log, lines, file };
}

t.test('one JSON line per event, with the role, in a folder that is made', async (t) => {
  const { log, lines } = logger('plain', 'info');
  log.info({ sandbox: 'sb-1', ms: 3 }, 'transition');
  log.child({ sandbox: 'sb-2' }).warn('careful');
  log.debug('not asked for');
  log.error('last');
  const [first, second, last, ...others] = await lines(3);
  t.match(first, { level: 30, role: 'host', pid: process.pid, sandbox: 'sb-1', ms: 3, msg: 'transition' });
  t.match(first?.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  t.match(second, { level: 40, sandbox: 'sb-2', msg: 'careful' });
  t.match(last, { msg: 'last' });
  t.same(others, []);
});

t.test('a log is for its owner alone', async (t) => {
  const { log, lines, file } = logger('modes', 'info');
  log.info('line');
  await lines(1);
  t.equal((await stat(file)).mode & 0o777, 0o600);
});

t.test('secrets never reach the log', async (t) => {
  const { log, lines } = logger('secrets', 'trace');
  const secret = 'hunter2';
  log.info({ token: secret, nextToken: secret, password: secret, apiKey: secret, secret }, 'top');
  log.info(
    { context: { token: secret, secret }, identity: { nextToken: secret }, options: { apiKey: secret } },
    'below',
  );
  log.info({ req: { headers: { authorization: `Bearer ${secret}`, 'x-api-key': secret } } }, 'request');
  log.child({ token: secret }).info('child');
  const all = await lines(4);
  t.equal(all.length, 4);
  t.notMatch(JSON.stringify(all), secret);
  t.match(all[0], { token: '[secret]' });
});

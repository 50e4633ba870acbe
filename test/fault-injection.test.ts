import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { injectFaults, parseFaults } from '../src/fault-injection.ts';
import { faultPoint, onFaultPoint } from '../src/fault-points.ts';
import { until } from './support/nats.ts';

/** What a setting lets go wrong. */

const ROOT = path.join(import.meta.dirname, '..');
const quiet = { error: () => {} };
t.afterEach(() => onFaultPoint(undefined));

/** Which of the numbers of passes throw. */
function failing(point: string, passes: number): number[] {
  return Array.from({ length: passes }, (_, index) => index + 1).filter(() => {
    try {
      faultPoint(point);
      return false;
    } catch {
      return true;
    }
  });
}

t.test('faults are read', async (t) => {
  t.same(parseFaults('saveVm done:2=kill; detachDisk begins=fail;dmsetup remove done:* = hang;'), [
    { point: 'saveVm done', nth: 2, action: 'kill' },
    { point: 'detachDisk begins', nth: 1, action: 'fail' },
    { point: 'dmsetup remove done', nth: 'each', action: 'hang' },
  ]);
  t.same(parseFaults('monitor is gone:3=kill'), [{ point: 'monitor is gone', nth: 3, action: 'kill' }]);
});

t.test('one that is wrong is named, with what would be right', async (t) => {
  for (const wrong of [
    'saveVm done',
    'saveVm=kill',
    'saveVm done:0=kill',
    'saveVm done:=kill',
    'saveVm done=explode',
    '=kill',
  ])
    t.throws(
      () => parseFaults(`detachDisk done=fail; ${wrong}`),
      { code: 'CONFIG_INVALID', detail: `${JSON.stringify(wrong)} must have the form` },
      wrong,
    );
});

t.test('a point fails the first time, the nth time, or each time, and no other does', async (t) => {
  injectFaults('a done=fail; b done:3=fail; c begins:*=fail', quiet);
  t.same(failing('a done', 3), [1]);
  t.same(failing('b done', 4), [3]);
  t.same(failing('c begins', 3), [1, 2, 3]);
  t.same(failing('c done', 3), []);
  injectFaults('a done:2=fail', quiet);
  t.throws(() => [faultPoint('a done'), faultPoint('a done')], { message: 'made to fail at a done' });
});

t.test('it is said loudly', async (t) => {
  const said: unknown[] = [];
  injectFaults('a done=kill', { error: (...args: unknown[]) => void said.push(args) });
  t.match(said, [[{ faults: [{ point: 'a done', action: 'kill' }] }, /DORMOUSE_FAULTS is set/]]);
});

t.test('a process is killed, or hangs until it is told to go on', async (t) => {
  // The test runner's loaders are for the tests, not for what these start.
  const run = (faults: string) =>
    execa(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `const { injectFaults } = await import('${ROOT}/src/fault-injection.ts');
         const { faultPoint } = await import('${ROOT}/src/fault-points.ts');
         injectFaults('${faults}', { error() {} });
         console.log('before');
         faultPoint('a done');
         console.log('after');`,
      ],
      { env: { NODE_OPTIONS: '' }, reject: false },
    );
  t.match(await run('a done=kill'), { signal: 'SIGKILL', stdout: /^before$/ });
  const hanging = run('a done=hang');
  const { pid } = hanging;
  await until(async () => isStopped(pid), 'it hangs');
  process.kill(Number(pid), 'SIGCONT');
  t.match(await hanging, { exitCode: 0, stdout: 'before\nafter' });
});

t.test(
  'nothing of it is in a normal run: it is imported in one place, when the setting is there',
  async (t) => {
    const files = (readdirSync(path.join(ROOT, 'src'), { recursive: true }) as string[]).filter((name) =>
      name.endsWith('.ts'),
    );
    const importing = files.flatMap((file) =>
      [
        ...readFileSync(path.join(ROOT, 'src', file), 'utf8').matchAll(
          /\b(import\(|from )'[^']*\/fault-injection\.ts'/g,
        ),
      ].map(([, how]) => `${file} ${how}`),
    );
    t.same(importing, ['roles/shared.ts import(']);
  },
);

function isStopped(pid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('T') ?? false;
  } catch {
    return false;
  }
}

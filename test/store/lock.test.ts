import { once } from 'node:events';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { lockDataDir } from '../../src/store/lock.ts';
import { tempDataDir } from '../support/data-dir.ts';
import { until } from '../support/nats.ts';

/** A process of its own that holds the lock of a data directory, and has said so. */
async function otherHolder(root: string, lock: string) {
  const module = path.join(import.meta.dirname, '..', '..', 'src', 'store', 'lock.ts');
  const script = `
    import { lockDataDir } from ${JSON.stringify(module)};
    await lockDataDir(${JSON.stringify({ root, lock })});
    process.stdout.write('locked');
    setInterval(() => {}, 1000);`;
  const child = execa(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    buffer: false,
    reject: false,
  });
  await Promise.race([
    once(child.stdout, 'data'),
    child.then(() => Promise.reject(new Error('the other process ended'))),
  ]);
  return { child };
}

t.test('two cannot hold it, one after the other can', async (t) => {
  const paths = await tempDataDir(t);
  const first = await lockDataDir(paths);
  await t.rejects(lockDataDir(paths), {
    code: 'DATA_DIR_IN_USE',
    detail: `process ${process.pid}`,
    data: { data_dir: paths.root, pid: process.pid },
  });
  await first.release();
  await first.release();
  const second = await lockDataDir(paths);
  await second.release();
});

t.test('of many that ask at once, one gets it', async (t) => {
  const paths = await tempDataDir(t);
  const asked = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDir(paths)));
  const held = asked.filter((one) => one.status === 'fulfilled');
  t.equal(held.length, 1);
  for (const one of held) await one.value.release();
});

t.test('a killed holder holds nothing', async (t) => {
  const paths = await tempDataDir(t);
  const { child: other } = await otherHolder(paths.root, paths.lock);
  await t.rejects(lockDataDir(paths), { code: 'DATA_DIR_IN_USE', data: { pid: other.pid } });
  other.kill('SIGKILL');
  await other;
  // The child that held it may need a moment to see that it is alone: that is not told as a conflict.
  const lock = await lockDataDir(paths);
  t.equal(await readFile(paths.lock, 'utf8'), `${process.pid}\n`);
  await lock.release();
});

t.test('what a killed holder left behind is waited for', async (t) => {
  const paths = await tempDataDir(t);
  const gone = execa('true');
  await gone;
  await writeFile(paths.lock, `${gone.pid}\n`);
  const left = execa('flock', ['--no-fork', paths.lock, 'cat'], { stdin: 'pipe', stdout: 'pipe' });
  left.stdin.write('.');
  await once(left.stdout, 'data');
  const waiting = lockDataDir(paths);
  const { ino } = await stat(paths.lock);
  await until(
    async () => new RegExp(`-> FLOCK .*:${ino} `).test(await readFile('/proc/locks', 'utf8')),
    'the kernel shows it waiting',
  );
  left.stdin.end();
  await left;
  await (await waiting).release();
});

t.test('an interrupt from the terminal does not take the lock before the holder is done', async (t) => {
  const paths = await tempDataDir(t);
  const lock = await lockDataDir(paths);
  const { stdout } = await execa('ps', ['-o', 'pid=,pgid=', '--ppid', String(process.pid)]);
  const own = (await execa('ps', ['-o', 'pgid=', '-p', String(process.pid)])).stdout.trim();
  const groups = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  t.ok(
    groups.some(([pid, group]) => pid === group && group !== own),
    'the child that holds it is in a group of its own',
  );
  await lock.release();
});

t.test('a process that holds it may end without releasing', async (t) => {
  const paths = await tempDataDir(t);
  const module = path.join(import.meta.dirname, '..', '..', 'src', 'store', 'lock.ts');
  const script = `import { lockDataDir } from ${JSON.stringify(module)}; await lockDataDir(${JSON.stringify(paths)});`;
  await execa(process.execPath, ['--input-type=module-typescript', '--eval', script], { timeout: 20_000 });
  t.pass('it ended by itself');
});

t.test('a data directory that cannot be written is DATA_DIR_UNWRITABLE', async (t) => {
  const { root } = await tempDataDir(t);
  const file = path.join(root, 'file');
  await writeFile(file, '');
  await chmod(file, 0o400);
  await t.rejects(lockDataDir({ root: path.join(file, 'data'), lock: path.join(file, 'data', 'lock') }), {
    code: 'DATA_DIR_UNWRITABLE',
  });
  await rm(file);
});

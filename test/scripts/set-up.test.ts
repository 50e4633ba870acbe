import { randomBytes } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { lockFile } from '../../scripts/setup/lock.mjs';
import { npmPackagesAreCurrent } from '../../scripts/setup/npm-packages.mjs';
import {
  cannotInstall,
  missingPackages,
  needsInterpreter,
  OS_PACKAGES,
  TEST_PACKAGES,
} from '../../scripts/setup/os-packages.mjs';
import { run } from '../../scripts/setup/run.mjs';

const REPO = path.join(import.meta.dirname, '..', '..');
const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-test-setup-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

t.test('a set-up with nothing to do says nothing', async (t) => {
  const { stdout, stderr } = await execa(process.execPath, [path.join(REPO, 'scripts/setup.mjs')]);
  t.equal(stdout + stderr, '');
});

t.test('options', async (t) => {
  const setup = path.join(REPO, 'scripts/setup.mjs');
  const help = await execa(process.execPath, [setup, '--help']);
  t.match(help.stdout, /--tests/);
  const wrong = await execa(process.execPath, [setup, '--nonsense'], { reject: false });
  t.equal(wrong.exitCode, 1);
  t.match(wrong.stderr, /^setup: .*--nonsense/);
});

t.test('what is missing and cannot be installed is named, with the command that would', async (t) => {
  const message = cannotInstall(OS_PACKAGES.filter(({ name }) => ['nats-server', 'gcc'].includes(name)));
  t.match(message, /^ {2}nats-server +the message bus$/m);
  t.match(
    message,
    /sudo apt-get update && sudo apt-get install -y --no-install-recommends nats-server gcc$/m,
  );
});

t.test('tests need more packages than the product', async (t) => {
  const names = OS_PACKAGES.map(({ name }) => name);
  t.ok(names.includes('dmsetup'));
  for (const { name } of TEST_PACKAGES) t.notOk(names.includes(name), name);
  const extra = missingPackages({ tests: true }).filter((missing) => !missingPackages().includes(missing));
  t.same(
    extra,
    TEST_PACKAGES.filter(({ isThere }) => !isThere()),
  );
});

const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'only root can become another user' };
t.test('without root, a missing package ends the set-up with one message', needsRoot, async (t) => {
  // A checkout that another user can read, on a machine where busybox is not static.
  const checkout = path.join(folder, 'checkout');
  await cp(path.join(REPO, 'scripts'), path.join(checkout, 'scripts'), { recursive: true });
  const bin = path.join(folder, 'bin');
  await mkdir(bin);
  await copyFile(process.execPath, path.join(bin, 'busybox'));
  const node = await readableNode();
  await chmod(folder, 0o755);
  const result = await execa(node, [path.join(checkout, 'scripts/setup.mjs')], {
    reject: false,
    uid: 65534,
    gid: 65534,
    cwd: '/',
    env: { PATH: `${bin}:${process.env.PATH}` },
  });
  t.equal(result.exitCode, 1);
  t.match(result.stderr, /Packages are missing, and this needs root to install them:\n {2}busybox-static/);
  t.match(result.stderr, /apt-get install -y --no-install-recommends busybox-static$/m);
});

/** A Node that an unprivileged user may run: a checkout in root's home is closed to it. */
async function readableNode(): Promise<string> {
  const node = path.join(folder, 'node');
  await copyFile(process.execPath, node);
  await chmod(node, 0o755);
  return node;
}

t.test('a program that needs libraries is told from one that does not', async (t) => {
  t.equal(needsInterpreter(await readFile('/bin/sh')), true);
  t.equal(needsInterpreter(await readFile((await execa('which', ['busybox'])).stdout)), false);
});

t.test('npm packages are current when every locked one is installed in its version', async (t) => {
  const repo = path.join(folder, 'repo');
  const installed = path.join(repo, 'node_modules', '.package-lock.json');
  await mkdir(path.join(repo, 'node_modules', '.bin'), { recursive: true });
  const lock = (versions: Record<string, string>): string =>
    JSON.stringify({
      packages: Object.fromEntries(
        Object.entries(versions).map(([name, version]) => [
          `node_modules/${name}`,
          { version, ...(name.startsWith('optional') ? { optional: true } : {}) },
        ]),
      ),
    });
  await writeFile(path.join(repo, 'package-lock.json'), lock({ a: '1.0.0', 'optional-darwin': '1.0.0' }));
  t.equal(npmPackagesAreCurrent(repo), false, 'nothing is installed');
  await writeFile(installed, lock({ a: '1.0.0' }));
  t.equal(npmPackagesAreCurrent(repo), false, 'there is no node');
  await symlink(process.execPath, path.join(repo, 'node_modules', '.bin', 'node'));
  t.equal(npmPackagesAreCurrent(repo), true);
  await writeFile(installed, lock({ a: '1.0.1' }));
  t.equal(npmPackagesAreCurrent(repo), false, 'another version');
  await writeFile(installed, '{"packages":{}}');
  t.equal(npmPackagesAreCurrent(repo), false, 'a package is missing');
});

t.test('one set-up at a time', async (t) => {
  const file = path.join(folder, 'sub', 'lock');
  const order: string[] = [];
  const first = await lockFile(file, () => order.push('first waits'));
  const { promise: secondWaits, resolve } = Promise.withResolvers<void>();
  const second = lockFile(file, () => {
    order.push('second waits');
    resolve();
  }).then(async (lock) => {
    order.push('second has it');
    await lock.release();
  });
  await secondWaits;
  order.push('first releases');
  await first.release();
  await second;
  t.same(order, ['second waits', 'first releases', 'second has it']);
});

t.test('a lock goes with the process that held it', async (t) => {
  const file = path.join(folder, 'killed.lock');
  const holder = execa(process.execPath, ['--input-type=module'], {
    input: `import { lockFile } from ${JSON.stringify(path.join(REPO, 'scripts/setup/lock.mjs'))};
await lockFile(${JSON.stringify(file)}, () => {});
process.stdout.write('locked');
process.kill(process.pid, 'SIGKILL');`,
    reject: false,
  });
  t.equal((await holder).stdout, 'locked');
  const lock = await lockFile(file, () => {});
  await lock.release();
});

t.test('a program that fails is quoted', async (t) => {
  t.equal(run('cat', [], { input: Buffer.from('through') }).toString(), 'through');
  const marker = randomBytes(4).toString('hex');
  t.throws(() => run('sh', ['-c', `echo out; echo ${marker} >&2; exit 3`]), {
    message: new RegExp(`exit 3[\\s\\S]*\\n  ${marker}`),
  });
  t.throws(() => run('no-such-program', []), { message: /no-such-program failed/ });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { dormouse, http, run, type View } from '../../support/dormouse.ts';
import { pythonRootfs } from '../../support/python-rootfs.ts';
import { bodyOf, create, destroy, type TemplateView, templates, up, upload } from './support.ts';

/** A root file system that somebody else made (Debian with Python) becomes a template, over the command line and over HTTP. */

t.setTimeout(1_200_000);

/** How long a build may take, in milliseconds: a Debian is booted with emulated processors, on a machine that is busy. */
const BUILD_LIMIT_MS = 480_000;

const rootfs = await pythonRootfs();
const server = await up(t);
const settings = { DORMOUSE_DATA_DIR: server.dataDir };
const work = await mkdtemp(path.join(os.tmpdir(), 'dm-third-'));
t.teardown(() => rm(work, { recursive: true, force: true }));

t.test('a Debian with Python, built by one command, runs a Python program', async (t) => {
  const built = await dormouse(
    [
      ...['template', 'build', '--from', rootfs, '-t', 'python', '--memory-mb', '256', '--json'],
      ...['--env', 'GREETING=hello', '--cwd', '/srv', '--ready-cmd', 'python3 -c "import sys"'],
    ],
    settings,
    BUILD_LIMIT_MS,
  );
  t.equal(built.exitCode, 0, built.stderr);
  const template = JSON.parse(built.stdout.trim().split('\n').at(-1) ?? '') as TemplateView;
  t.match(template, {
    name: 'python',
    owner: 'team',
    kind: 'base',
    memory: false,
    memory_mb: 256,
    cwd: '/srv',
  });
  t.ok(template.allocated_bytes > 10 * 2 ** 20, 'it takes what it takes');
  t.ok(template.allocated_bytes < 2 ** 30, 'and not what it could hold');

  const { id, memory_mb } = await create(server, { template: 'python' });
  t.equal(memory_mb, 256, "the template's own memory, where nothing else is said");
  t.equal(await run(server, id, 'python3 -c "print(6 * 7)"'), '42');
  t.equal(await run(server, id, 'pwd; echo $GREETING'), '/srv\nhello', 'its folder and its environment');
  t.match(await run(server, id, 'cat /etc/os-release'), /Debian/);
  t.equal(
    await run(server, id, 'stat -c "%u:%g %a" /usr/bin/su /usr/sbin/unix_chkpwd'),
    '0:0 4755\n0:42 2755',
    'owners and modes are kept',
  );
  await destroy(server, id);
});

t.test('what a start command started runs on in each sandbox', async (t) => {
  const folder = path.join(work, 'app');
  await mkdir(folder, { recursive: true });
  await execa('tar', ['-C', folder, '-xf', rootfs]);
  await writeFile(
    path.join(folder, 'srv', 'count.py'),
    'import os, time\nopen("/run/pid", "w").write(str(os.getpid()))\nn = 0\nwhile True:\n  n += 1\n  open("/run/count", "w").write(str(n))\n  time.sleep(0.1)\n',
  );
  const built = await dormouse(
    [
      ...['template', 'build', '--from', folder, '-t', 'counter', '--memory-mb', '256', '--json'],
      ...['--start-cmd', 'exec python3 /srv/count.py', '--ready-cmd', 'test -s /run/count'],
    ],
    settings,
    BUILD_LIMIT_MS,
  );
  t.equal(built.exitCode, 0, built.stderr);
  const [one, other] = [
    await create(server, { template: 'counter' }),
    await create(server, { template: 'counter' }),
  ];
  const pids = [];
  for (const { id } of [one, other]) {
    pids.push(await run(server, id, 'cat /run/pid; kill -0 $(cat /run/pid)'));
    const counts = (await run(server, id, 'cat /run/count; sleep 1; echo; cat /run/count'))
      .split('\n')
      .map(Number);
    t.ok(Number(counts[1]) > Number(counts[0]), `it goes on counting: ${counts}`);
  }
  t.equal(pids[0], pids[1], 'both woke up with the same process');
  await destroy(server, one.id, other.id);
});

t.test('what never gets ready is no template, and says why', async (t) => {
  const { status, body } = await upload(server, rootfs, {
    name: 'never',
    memory_mb: '256',
    start_cmd: 'echo the reason >&2; exit 3',
  });
  t.equal(status, 422);
  t.match(body, { code: 'TEMPLATE_NOT_READY' });
  t.match(JSON.stringify(body), /the reason/);
  t.notOk((await templates(server)).some(({ name }) => name === 'never'));
});

t.test('names: none twice unless it is asked for, and gone when deleted', async (t) => {
  const small = path.join(work, 'busybox.tar');
  const root = path.join(work, 'busybox');
  await mkdir(path.join(root, 'bin'), { recursive: true });
  await execa('cp', ['/bin/busybox', path.join(root, 'bin', 'busybox')]);
  await execa('ln', ['-s', 'busybox', path.join(root, 'bin', 'sh')]);
  await execa('tar', ['-C', root, '-cf', small, '.']);

  const first = bodyOf(await upload(server, small, { name: 'tiny', memory_mb: '128' }), 201);
  t.match(await upload(server, small, { name: 'tiny' }), { status: 409, body: { code: 'TEMPLATE_EXISTS' } });
  const second = bodyOf(
    await upload(server, small, { name: 'tiny', memory_mb: '192', overwrite: 'true' }),
    201,
  );
  t.equal(first.memory_mb, 128);
  t.equal(second.memory_mb, 192);
  t.same(
    (await templates(server)).filter(({ name }) => name === 'tiny').map(({ memory_mb }) => memory_mb),
    [192],
    'one of this name is there',
  );
  t.match(await http(server, 'GET', '/templates/tiny'), { status: 200, body: { memory_mb: 192 } });
  const { id } = await create(server, { template: 'tiny' });
  t.equal(await run(server, id, 'busybox echo works'), 'works');
  bodyOf(await http(server, 'DELETE', '/templates/tiny'), 200);
  t.match(await http(server, 'POST', '/sandboxes', { template: 'tiny' }), {
    status: 404,
    body: { code: 'TEMPLATE_NOT_FOUND' },
  });
  t.equal(await run(server, id, 'busybox echo still'), 'still', 'what was made from it lives on');
  await destroy(server, id);
});

t.test('what cannot be a template is refused, and leaves nothing', async (t) => {
  const evil = path.join(work, 'evil.tar');
  await writeFile(path.join(work, 'passwd'), 'evil');
  await execa('tar', [
    '-C',
    work,
    '--transform',
    's,^passwd,../../../etc/evil,',
    '-P',
    '-cf',
    evil,
    'passwd',
  ]);
  t.match(await upload(server, evil, { name: 'evil' }), { status: 422, body: { code: 'TEMPLATE_INVALID' } });
  t.match(await upload(server, path.join(work, 'passwd'), { name: 'text' }), {
    status: 422,
    body: { code: 'TEMPLATE_INVALID' },
  });
  const { stdout } = await dormouse(['host', 'leaks', '--json'], settings);
  t.same(JSON.parse(stdout).leaks, []);
});

t.test('from a sandbox: its disk is the template, its memory is not', async (t) => {
  const { id } = await create(server, { template: 'python' });
  await run(server, id, 'echo installed > /opt/thing; echo lost > /run/thing');
  const built = await http<TemplateView>(server, 'POST', '/templates', { name: 'derived', sandbox_id: id });
  t.match(bodyOf(built, 201), { name: 'derived', kind: 'base', memory: false });
  t.equal(await run(server, id, 'cat /run/thing'), 'lost', 'the sandbox runs on');
  await destroy(server, id);
  const copy: View = await create(server, { template: 'derived', memory_mb: 256 });
  t.equal(
    await run(server, copy.id, 'cat /opt/thing; ls /run/thing 2>/dev/null || echo no memory'),
    'installed\nno memory',
  );
  t.equal(await run(server, copy.id, 'python3 -c "print(1)"'), '1');
  await destroy(server, copy.id);
});

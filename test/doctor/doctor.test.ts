import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { versionIn } from '../../src/doctor/checks/versions.ts';
import { examine, type Finding, renderFindings, runDoctor } from '../../src/doctor/index.ts';
import type { Accelerator } from '../../src/drivers/vmm/types.ts';
import { pathsOf } from '../../src/paths.ts';

const folder = await mkdtemp(path.join(os.tmpdir(), 'dormouse-doctor-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

const emulated = async (): Promise<Accelerator> => ({ name: 'tcg', reason: 'there is no /dev/kvm' });

async function findings(
  environment: Record<string, string> = {},
  accelerator: () => Promise<Accelerator> = emulated,
): Promise<Map<string, Finding>> {
  const config = loadConfig({ DORMOUSE_DATA_DIR: path.join(folder, 'data'), ...environment });
  const found = await examine({
    config,
    paths: pathsOf(config.dataDir),
    accelerator,
    signal: new AbortController().signal,
  });
  return new Map(found.map((finding) => [finding.name, finding]));
}

t.test('every finding that is not well says what it costs', async (t) => {
  const all = [...(await findings()).values()];
  for (const { name, status, found, cost } of all) {
    t.ok(found, `${name}: ${found}`);
    if (status !== 'ok') t.ok(cost, `${name} says what it costs`);
  }
  t.same(await readdir(folder), [], 'nothing was left where it looked');
});

t.test('it agrees with the programs themselves', async (t) => {
  const all = await findings();
  const { stdout: qemu } = await execa('qemu-system-x86_64', ['--version']);
  t.ok(qemu.includes(all.get('QEMU')?.found ?? '(nothing)'), qemu);
  const { stdout: nats } = await execa('nats-server', ['--version']);
  t.ok(nats.includes(all.get('NATS server')?.found ?? '(nothing)'), nats);
  const { stdout: free } = await execa('df', ['--output=avail', '-B1G', folder]);
  const shown = Number(/^[\d.]+/.exec(all.get('free space')?.found ?? '')?.[0]);
  t.ok(Math.abs(shown - Number(free.split('\n')[1])) <= 2, `${shown} GiB`);
});

t.test('what is missing is named, with what to do', async (t) => {
  const all = await findings({ DORMOUSE_QEMU: 'qemu-system-none' });
  t.match(all.get('QEMU'), {
    status: 'missing',
    found: /not installed/,
    remedy: 'apt-get install qemu-system-x86',
  });
});

t.test('an accelerator that cannot be tried is a finding, not a failure', async (t) => {
  const broken = await findings({}, () => Promise.reject(new Error('no kernel to try with')));
  t.match(broken.get('accelerator'), { status: 'missing', found: 'no kernel to try with' });
  t.match((await findings()).get('accelerator'), { status: 'note', found: /emulation.*no \/dev\/kvm/ });
});

t.test('a data directory that cannot be one', async (t) => {
  const file = path.join(folder, 'file');
  await writeFile(file, '');
  const all = await findings({ DORMOUSE_DATA_DIR: path.join(file, 'data') });
  t.match(all.get('reflinks'), { status: 'missing', found: /cannot be written/ });
  await rm(file);
});

const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'mounting needs root' };
t.test('reflinks are tried where the store is', needsRoot, async (t) => {
  const image = path.join(folder, 'xfs.img');
  const store = path.join(folder, 'xfs', 'store');
  await execa('mkdir', ['-p', store]);
  await execa('truncate', ['-s', '512M', image]);
  await execa('mkfs.xfs', ['-q', '-m', 'reflink=1', image]);
  await execa('mount', ['-o', 'loop', image, store]);
  try {
    const all = await findings({ DORMOUSE_DATA_DIR: path.join(folder, 'xfs') });
    t.match(all.get('reflinks'), { status: 'ok', found: `work on ${store}` });
    t.ok(all.get('free space')?.found.endsWith(` on ${store}`));
    t.same(await readdir(store), []);
  } finally {
    await execa('umount', [store]);
  }
});

t.test('as one JSON document', async (t) => {
  const config = loadConfig({ DORMOUSE_DATA_DIR: path.join(folder, 'data') });
  const { text, ok } = await runDoctor(config, { json: true, accelerator: emulated });
  const report = JSON.parse(text) as { ok: boolean; findings: Finding[] };
  t.equal(report.ok, ok);
  t.equal(ok, !report.findings.some(({ status }) => status === 'missing'));
  t.match(report.findings[0], { name: 'accelerator', found: /TCG/ });
  const asText = await runDoctor(config, { json: false, accelerator: emulated });
  t.equal(asText.ok, ok);
  t.match(asText.text, /^note +accelerator +emulation/);
  t.notOk((await readdir(folder)).includes('data'), 'the data directory was not made');
});

t.test('versions are found in what programs say about themselves', async (t) => {
  t.equal(versionIn('QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright'), '7.2.22');
  t.equal(versionIn('nats-server: v2.9.10'), '2.9.10');
  t.equal(versionIn('mke2fs 1.47.0 (5-Feb-2023)\n\tUsing EXT2FS Library version 1.47.0'), '1.47.0');
  t.equal(versionIn(' nothing '), 'nothing');
});

t.test('the text lines up', async (t) => {
  t.equal(
    renderFindings([
      { name: 'one', status: 'ok', found: 'well' },
      { name: 'another', status: 'missing', found: 'gone', cost: 'much', remedy: 'buy one' },
    ]),
    [
      'ok       one      well',
      'missing  another  gone',
      '         costs    much',
      '         to do    buy one',
    ].join('\n'),
  );
});

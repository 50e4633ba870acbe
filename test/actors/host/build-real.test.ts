import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import type { TemplateDetails } from '../../../src/actors/host/template-protocol.ts';
import { startHostLab } from '../../support/host-lab.ts';
import { create, isTidy, run, SETTINGS, templatesOf } from './real-host.ts';

/** Templates that are built and booted, on a host without a bus. */

t.test('a tar archive becomes a template whose start command runs in every sandbox', async (t) => {
  const lab = await startHostLab(t, { settings: SETTINGS });
  const work = await mkdtemp(path.join(os.tmpdir(), 'dormouse-rootfs-'));
  t.teardown(() => rm(work, { recursive: true, force: true }));
  const file = await busyboxArchive(work);
  const build = (spec: object): Promise<TemplateDetails> => lab.host().ask('buildTemplate', { file, spec });
  const sizes = { memory_mb: 128, disk_size_mb: 512 };
  const made = await build({
    name: 'counting',
    ...sizes,
    env: { STEP: '1' },
    cwd: '/srv',
    start_cmd: 'n=0; while :; do n=$((n+STEP)); echo $n >count; sleep 0.1; done',
    ready_cmd: 'test "$(cat count)" -gt 3',
  });
  t.match(made, { kind: 'base', size_mb: 512, warm: ['1x128x512'], cwd: '/srv', env: { STEP: '1' } });
  const id = await create(lab, { template: 'counting', ...sizes });
  const count = Number(await run(lab, id, 'pwd >/tmp/where; cat count'));
  t.ok(count > 3);
  t.ok(Number(await run(lab, id, 'sleep 0.5; cat count')) > count, 'it goes on');
  t.equal(await run(lab, id, 'cat /tmp/where; echo $STEP'), '/srv\n1', 'and what is run has its defaults');

  await t.rejects(build({ name: 'broken', ...sizes, start_cmd: 'echo no such port >&2; exit 3' }), {
    code: 'TEMPLATE_NOT_READY',
    data: { exit_code: 3, output: 'no such port\n' },
  });
  await t.rejects(build({ name: 'homeless', ...sizes, user: 'nobody-here' }), {
    code: 'TEMPLATE_NOT_READY',
    data: { code: 'EXEC_UNKNOWN_USER' },
  });
  await t.rejects(build({ name: 'counting', ...sizes }), { code: 'TEMPLATE_EXISTS' });
  t.same((await templatesOf(lab)).length, 2, 'nothing is left of those that failed');
  await lab.host().ask('deleteTemplate', { name: 'counting' });
  await isTidy(t, lab);
});

/** The smallest root file system: busybox, as a tar archive. */
async function busyboxArchive(work: string): Promise<string> {
  const { stdout: busybox } = await execa('sh', ['-c', 'command -v busybox']);
  const file = path.join(work, 'rootfs.tar');
  await execa(
    'sh',
    [
      '-ec',
      `mkdir -p root/bin root/etc root/srv root/tmp root/root
     cp "$1" root/bin/busybox
     for name in sh cat sleep test mkdir rm chown tail setsid hostname sync pwd echo; do ln -s busybox root/bin/$name; done
     echo root:x:0:0:root:/root:/bin/sh >root/etc/passwd
     echo root:x:0: >root/etc/group
     tar -C root --owner=0 --group=0 -cf "$2" .`,
      'make',
      busybox,
      file,
    ],
    { cwd: work },
  );
  return file;
}

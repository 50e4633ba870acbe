import t from 'tap';
import type { TemplateDetails } from '../../../src/actors/host/template-protocol.ts';
import { newSandboxId } from '../../../src/ids.ts';
import { startHostLab } from '../../support/host-lab.ts';
import { create, isTidy, run, SETTINGS, templatesOf } from './real-host.ts';

/** Snapshots and forks of real virtual machines, on a host without a bus. */

t.test('a running sandbox becomes templates and forks, and goes on', async (t) => {
  const lab = await startHostLab(t, { settings: SETTINGS });
  const id = await create(lab, { metadata: { of: 'the original' } });
  await run(
    lab,
    id,
    'echo kept >/root/file; (n=0; while :; do n=$((n+1)); echo $n >/tmp/beat; sleep 0.1; done) >/dev/null 2>&1 &',
  );
  const before = await lab.host().view(id);

  const ask = <T>(op: 'snapshot' | 'fork' | 'deleteTemplate', body: object): Promise<T> =>
    lab.host().ask<T>(op, { id, ...body });
  const memory = await ask<TemplateDetails>('snapshot', { name: 'awake', memory: true, overwrite: false });
  t.match(memory, { kind: 'snapshot', memory: true, size_mb: 1024, source_sandbox_id: id });
  const disk = await ask<TemplateDetails>('snapshot', { name: 'asleep', memory: false, overwrite: false });
  t.match(disk, { kind: 'snapshot', memory: false });
  t.ok(disk.size_mb < 128, `it is shrunk to ${disk.size_mb} MiB`);
  await t.rejects(ask('snapshot', { name: 'awake', memory: true, overwrite: false }), {
    code: 'TEMPLATE_EXISTS',
  });
  t.match(await lab.host().view(id), { state: 'running', execution: before?.execution });

  const woken = await create(lab, { template: 'awake' });
  t.equal(await run(lab, woken, 'cat /root/file'), 'kept');
  const beat = await run(lab, woken, 'cat /tmp/beat');
  t.not(await run(lab, woken, 'sleep 0.5; cat /tmp/beat'), beat, 'its programs go on');
  const booted = await create(lab, { template: 'asleep' });
  t.equal(await run(lab, booted, 'cat /root/file; test -e /tmp/beat || echo anew'), 'kept\nanew');
  await t.rejects(create(lab, { template: 'awake', memory_mb: 256 }), {
    code: 'INVALID_SIZE',
    data: { memory_mb: 256, template_memory_mb: 128 },
  });

  const ids = [newSandboxId(), newSandboxId(), newSandboxId()];
  const forked = await ask<{ sandboxes: Array<{ id: string; metadata: object }> }>('fork', { ids });
  t.same(
    forked.sandboxes.map((fork) => fork.id),
    ids,
  );
  t.match(forked.sandboxes[0], { state: 'running', metadata: { of: 'the original' } });
  const names = await Promise.all(
    ids.map((fork) => run(lab, fork, 'hostname; cat /etc/machine-id; cat /root/file')),
  );
  t.equal(new Set(names).size, 3, 'each is another machine');
  await run(lab, ids[0] ?? '', 'echo changed >/root/file');
  t.equal(await run(lab, ids[1] ?? '', 'cat /root/file'), 'kept', 'they share nothing that is written to');
  t.equal(await run(lab, id, 'cat /root/file'), 'kept');

  await ask('deleteTemplate', { name: 'awake' });
  await ask('deleteTemplate', { name: 'asleep' });
  t.same(await templatesOf(lab), ['minimal']);
  t.equal(await run(lab, woken, 'cat /root/file'), 'kept', 'what was made from it needs it no more');
  await isTidy(t, lab);
});

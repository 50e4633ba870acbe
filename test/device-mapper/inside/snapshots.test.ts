import t from 'tap';
import { countingLab } from '../counting.ts';
import { hostLab, SHAPE } from '../host-lab.ts';

/** Snapshots of sandboxes whose disks are device-mapper snapshots, with memory and without, and disks that grow. */

const lab = await hostLab(t);
const { exec, counting, made, goesOn } = countingLab(lab);

t.test('a snapshot with memory wakes up, and stands on the image that the sandbox stood on', async (t) => {
  const id = await counting(t);
  t.match(await lab.host().ask('snapshot', { id, name: 'awake', memory: true, overwrite: false }), {
    name: 'awake',
    memory: true,
  });
  await goesOn(t, id);
  const copy = await made(t, 'awake');
  await goesOn(t, copy);
  t.equal(await lab.written(copy), 'kept');
  await exec(copy, 'echo other > /written; sync');
  t.equal(await lab.written(id), 'kept');
  t.same(await lab.disagreements(), []);
  await lab.host().command(id, 'destroy');
  const late = await made(t, 'awake');
  t.equal(await lab.written(late), 'kept', 'the snapshot is as it was');
  for (const each of [copy, late]) await lab.host().command(each, 'destroy');
  await lab.host().ask('deleteTemplate', { name: 'awake' });
  t.same(await lab.disagreements(), []);
});

t.test('one without memory is a disk of its own; it is not deleted while disks stand on it', async (t) => {
  const id = await counting(t);
  t.match(await lab.host().ask('snapshot', { id, name: 'asleep', memory: false, overwrite: false }), {
    name: 'asleep',
    memory: false,
  });
  await goesOn(t, id);
  await lab.host().command(id, 'destroy');
  const copy = await made(t, 'asleep');
  t.equal(await lab.written(copy), 'kept');
  t.equal(await exec(copy, 'cat /late; ls /run/count 2> /dev/null || echo booted'), 'not synced\nbooted');
  await t.rejects(lab.host().ask('deleteTemplate', { name: 'asleep' }), {
    code: 'TEMPLATE_IN_USE',
    data: { users: [copy] },
  });
  await lab.host().command(copy, 'pause');
  await t.rejects(
    lab.host().ask('deleteTemplate', { name: 'asleep' }),
    { code: 'TEMPLATE_IN_USE' },
    'nor a paused one',
  );
  await lab.host().command(copy, 'destroy');
  await lab.host().ask('deleteTemplate', { name: 'asleep' });
  t.same(await lab.disagreements(), []);
});

t.test('a paused disk grows', async (t) => {
  const id = await counting(t);
  await lab.host().command(id, 'pause');
  await lab.host().command(id, 'resize', { disk_size_mb: SHAPE.disk_size_mb + 4096 });
  await lab.host().command(id, 'resume');
  await goesOn(t, id);
  const seen = Number(await exec(id, "df -m / | awk 'NR==2 { print $2 }'"));
  t.ok(seen > SHAPE.disk_size_mb, `the guest sees ${seen} MiB`);
  t.equal(await lab.written(id), 'kept');
  await lab.host().command(id, 'pause');
  await lab.host().command(id, 'resize', { disk_size_mb: SHAPE.disk_size_mb + 8192 });
  await lab.host().command(id, 'restart');
  const later = Number(await exec(id, "df -m / | awk 'NR==2 { print $2 }'"));
  t.ok(later > seen + 3000, `and ${later} MiB after a restart`);
  t.equal(await lab.written(id), 'kept');
  t.same(await lab.disagreements(), []);
});

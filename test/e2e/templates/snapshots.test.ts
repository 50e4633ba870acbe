import t from 'tap';
import { http, run, type View } from '../../support/dormouse.ts';
import { bodyOf, create, destroy, SHAPE, type TemplateView, templates, up } from './support.ts';

/** Snapshots of running and of paused sandboxes, with their memory and without. */

t.setTimeout(600_000);

const server = await up(t);

const COUNTER =
  'i=0; (while :; do i=$((i+1)); echo $i > /run/count; sleep 0.1; done) > /dev/null 2>&1 & echo $! > /run/pid';
const snapshot = (body: Record<string, unknown>) => http<TemplateView>(server, 'POST', '/snapshots', body);
const count = async (id: string): Promise<number> => Number(await run(server, id, 'cat /run/count'));

/** A sandbox with something on its disk, and a program that counts. */
async function counting(): Promise<View> {
  const view = await create(server, { template: 'minimal', ...SHAPE });
  await run(server, view.id, `echo on disk > /root/note; ${COUNTER}`);
  return view;
}

t.test('with memory, of a running one: it runs on, and the copies wake up where it was', async (t) => {
  const { id } = await counting();
  await run(server, id, 'while [ "$(cat /run/count)" -lt 5 ]; do sleep 0.1; done');
  const before = await count(id);
  const made = bodyOf(await snapshot({ sandbox_id: id, name: 'awake' }), 201);
  t.match(made, { name: 'awake', kind: 'snapshot', memory: true, ...SHAPE, source_sandbox_id: id });
  t.ok(made.allocated_bytes > 0);
  const view = await http<View>(server, 'GET', `/sandboxes/${id}`);
  t.match(view.body, { state: 'running', last_error: null });
  await run(server, id, `while [ "$(cat /run/count)" -le ${before + 2} ]; do sleep 0.1; done`);
  t.ok((await count(id)) > before, 'the one that it was made from goes on');
  const pid = await run(server, id, 'cat /run/pid');

  const copy = await create(server, { template: 'awake' });
  t.match(copy, SHAPE, 'a copy has its sizes');
  t.equal(await run(server, copy.id, 'cat /root/note; cat /run/pid'), `on disk\n${pid}`);
  const first = await count(copy.id);
  t.ok(first >= before, `its program went on from where it was: ${before}, ${first}`);
  await run(server, copy.id, `while [ "$(cat /run/count)" -le ${first} ]; do sleep 0.1; done`);
  t.not(await run(server, copy.id, 'hostname'), await run(server, id, 'hostname'), 'with a name of its own');
  await run(server, copy.id, 'echo changed > /root/note; sync');
  t.equal(await run(server, id, 'cat /root/note'), 'on disk', 'and a disk of its own');
  const again = await create(server, { template: 'awake' });
  t.equal(await run(server, again.id, 'cat /root/note'), 'on disk', 'the snapshot is as it was');

  t.match(await http(server, 'POST', '/sandboxes', { template: 'awake', memory_mb: 512 }), {
    status: 400,
    body: { code: 'INVALID_SIZE' },
  });
  await destroy(server, id, copy.id, again.id);
});

t.test('without memory: a disk of its own, which is booted', async (t) => {
  const { id } = await counting();
  const made = bodyOf(await snapshot({ sandbox_id: id, name: 'asleep', memory: false }), 201);
  t.match(made, { name: 'asleep', kind: 'snapshot', memory: false });
  await destroy(server, id);
  const { id: copy } = await create(server, { template: 'asleep', ...SHAPE });
  t.equal(
    await run(server, copy, 'cat /root/note; cat /run/count 2>/dev/null || echo booted'),
    'on disk\nbooted',
  );
  await destroy(server, copy);
});

t.test('of a paused one: it stays paused, and resumes as ever', async (t) => {
  const { id } = await counting();
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/pause`), 200);
  for (const memory of [true, false]) {
    const made = bodyOf(await snapshot({ sandbox_id: id, name: `paused-${memory}`, memory }), 201);
    t.match(made, { memory });
    t.match((await http<View>(server, 'GET', `/sandboxes/${id}`)).body, {
      state: 'paused',
      last_error: null,
    });
  }
  const { id: copy } = await create(server, { template: 'paused-true' });
  t.equal(await run(server, copy, 'cat /root/note'), 'on disk');
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/resume`), 200);
  const first = await count(id);
  await run(server, id, `while [ "$(cat /run/count)" -le ${first} ]; do sleep 0.1; done`);
  await destroy(server, id, copy);
});

t.test('they are listed, replaced when that is asked for, and deleted', async (t) => {
  const { id } = await counting();
  const list = async (): Promise<string[]> =>
    (await http<{ snapshots: TemplateView[] }>(server, 'GET', '/snapshots')).body.snapshots
      .map(({ name }) => name)
      .sort();
  t.same(await list(), ['asleep', 'awake', 'paused-false', 'paused-true']);
  t.same(
    (await templates(server, '?kind=base')).map(({ name }) => name),
    ['minimal'],
    'and are no base templates',
  );
  t.match(await snapshot({ sandbox_id: id, name: 'awake' }), {
    status: 409,
    body: { code: 'TEMPLATE_EXISTS' },
  });
  await run(server, id, 'echo newer > /root/note');
  t.match(bodyOf(await snapshot({ sandbox_id: id, name: 'awake', overwrite: true }), 201), {
    source_sandbox_id: id,
  });
  const { id: copy } = await create(server, { template: 'awake' });
  t.equal(await run(server, copy, 'cat /root/note'), 'newer');
  await destroy(server, id, copy);
  for (const name of await list()) bodyOf(await http(server, 'DELETE', `/snapshots/${name}`), 200);
  t.same(await list(), []);
  t.match(await http(server, 'DELETE', '/snapshots/awake'), {
    status: 404,
    body: { code: 'SNAPSHOT_NOT_FOUND' },
  });
  t.match(await http(server, 'DELETE', '/snapshots/minimal'), {
    status: 404,
    body: { code: 'SNAPSHOT_NOT_FOUND' },
  });
  t.match(await snapshot({ sandbox_id: id, name: 'late' }), {
    status: 404,
    body: { code: 'SANDBOX_NOT_FOUND' },
  });
});

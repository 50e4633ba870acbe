import t from 'tap';
import { http, run, type View } from '../../support/dormouse.ts';
import { bodyOf, create, destroy, SHAPE, up } from './support.ts';

/** Forks: copies of a sandbox that wake up where it is and share nothing that is written. */

t.setTimeout(600_000);

const server = await up(t);

const COUNTER =
  'i=0; (while :; do i=$((i+1)); echo $i > /run/count; sleep 0.1; done) > /dev/null 2>&1 & echo $! > /run/pid';
const fork = (id: string, count: number, headers: Record<string, string> = {}) =>
  http<{ sandboxes: View[] }>(server, 'POST', `/sandboxes/${id}/fork`, { count }, headers);

/** What makes one sandbox another than the next. */
async function identity(id: string): Promise<Record<string, string>> {
  const [hostname, machineId, mac, entropy] = (
    await run(
      server,
      id,
      'hostname; cat /etc/machine-id; cat /sys/class/net/eth0/address; head -c 16 /dev/urandom | od -An -tx1 | tr -d " \\n"; echo',
    )
  ).split('\n');
  return { hostname: `${hostname}`, machineId: `${machineId}`, mac: `${mac}`, entropy: `${entropy}` };
}

t.test('a program goes on in the original and in each fork', async (t) => {
  const { id } = await create(server, { template: 'minimal', ...SHAPE, metadata: { user: 'ada' } });
  await run(server, id, `echo common > /root/note; ${COUNTER}`);
  await run(server, id, 'while [ "$(cat /run/count)" -lt 5 ]; do sleep 0.1; done');
  const pid = await run(server, id, 'cat /run/pid');
  const { sandboxes } = bodyOf(await fork(id, 2), 201);
  t.equal(sandboxes.length, 2);
  const all = [id, ...sandboxes.map((view) => view.id)];
  for (const view of sandboxes) t.match(view, { state: 'running', ...SHAPE, metadata: { user: 'ada' } });
  for (const each of all) {
    t.equal(await run(server, each, 'cat /run/pid; cat /root/note'), `${pid}\ncommon`);
    const now = Number(await run(server, each, 'cat /run/count'));
    await run(server, each, `while [ "$(cat /run/count)" -le ${now} ]; do sleep 0.1; done`);
  }
  for (const each of all) await run(server, each, `echo ${each} > /root/note; sync`);
  for (const each of all)
    t.equal(await run(server, each, 'cat /root/note'), each, 'each has a disk of its own');
  const identities = await Promise.all(all.map(identity));
  for (const what of ['hostname', 'machineId', 'mac', 'entropy'])
    t.equal(new Set(identities.map((one) => one[what])).size, all.length, `each has a ${what} of its own`);
  const history = await http<{ transitions: Array<{ to: string }> }>(
    server,
    'GET',
    `/sandboxes/${id}/transitions`,
  );
  t.ok(
    history.body.transitions.some(({ to }) => to.startsWith('capturing')),
    'and the history shows what was done',
  );
  await destroy(server, ...all);
});

t.test('a paused one is forked as well, and stays paused', async (t) => {
  const { id } = await create(server, { template: 'minimal', ...SHAPE });
  await run(server, id, COUNTER);
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/pause`), 200);
  const { sandboxes } = bodyOf(await fork(id, 1), 201);
  t.match((await http<View>(server, 'GET', `/sandboxes/${id}`)).body, { state: 'paused' });
  const [copy] = sandboxes;
  const now = Number(await run(server, `${copy?.id}`, 'cat /run/count'));
  await run(server, `${copy?.id}`, `while [ "$(cat /run/count)" -le ${now} ]; do sleep 0.1; done`);
  bodyOf(await http(server, 'POST', `/sandboxes/${id}/resume`), 200);
  await destroy(server, id, `${copy?.id}`);
});

t.test('twenty at once', async (t) => {
  const { id } = await create(server, { template: 'minimal', ...SHAPE });
  await run(server, id, 'echo common > /run/note');
  const started = Date.now();
  const { sandboxes } = bodyOf(await fork(id, 20), 201);
  t.comment(`20 forks in ${Date.now() - started} ms`);
  t.equal(new Set(sandboxes.map((view) => view.id)).size, 20);
  const notes = await Promise.all(sandboxes.map((view) => run(server, view.id, 'cat /run/note')));
  t.ok(notes.every((note) => note === 'common'));
  await destroy(server, ...sandboxes.map((view) => view.id), id);
});

t.test('sent again with its key, it makes nothing twice', async (t) => {
  const { id } = await create(server, { template: 'minimal', ...SHAPE });
  const key = { 'idempotency-key': 'fork-once' };
  const first = bodyOf(await fork(id, 2, key), 201);
  const second = bodyOf(await fork(id, 2, key), 201);
  const ids = ({ sandboxes }: { sandboxes: View[] }): string[] => sandboxes.map((view) => view.id).sort();
  t.same(ids(second), ids(first));
  t.match(await fork(id, 3, key), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  t.match(await fork(id, 0), { status: 400 });
  t.match(await fork(id, 21), { status: 400 });
  await destroy(server, id, ...ids(first));
  t.match(await fork(id, 1), { status: 404, body: { code: 'SANDBOX_NOT_FOUND' } });
});

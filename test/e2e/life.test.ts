import t from 'tap';
import {
  dormouse,
  eventually,
  http,
  newDataDir,
  removeDataDir,
  run,
  startDormouse,
  traces,
  type View,
} from '../support/dormouse.ts';

t.setTimeout(300_000);

/** The whole life of a sandbox on a real virtual machine, through HTTP, seen from outside. */

const dataDir = await newDataDir();
const server = await startDormouse(dataDir);
t.teardown(async () => {
  await server.stop();
  await removeDataDir(dataDir);
});

async function create(options: Record<string, unknown> = {}): Promise<View> {
  const { status, body } = await http<View>(server, 'POST', '/sandboxes', {
    template: 'minimal',
    ...options,
  });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}

const machinesOf = async (id: string): Promise<string[]> =>
  (await traces(dataDir)).filter((line) => line.includes('qemu') && line.includes(id));

t.test(
  'created, used, paused, resumed, destroyed: it remembers everything, and nothing is left',
  async (t) => {
    const { id, state } = await create({ metadata: { purpose: 'test' } });
    t.equal(state, 'running');
    t.equal((await machinesOf(id)).length, 1, 'one virtual machine');
    t.match(await run(server, id, 'uname -a'), /Linux/);
    await run(server, id, 'echo on disk > /root/disk.txt; sync');
    await run(server, id, 'echo in memory > /tmp/memory.txt');
    await run(
      server,
      id,
      'i=0; (while :; do i=$((i+1)); echo $i > /tmp/counter; sleep 0.05; done) >/dev/null 2>&1 & echo $! > /tmp/pid',
    );
    const pid = await run(server, id, 'cat /tmp/pid');

    const paused = await http<View>(server, 'POST', `/sandboxes/${id}/pause`);
    t.equal(paused.status, 200);
    t.equal(paused.body.state, 'paused');
    t.same(await machinesOf(id), [], 'no virtual machine while it is paused');
    const before = Date.now();

    const resumed = await http<View>(server, 'POST', `/sandboxes/${id}/resume`);
    t.equal(resumed.body.state, 'running', JSON.stringify(resumed.body));
    t.equal(await run(server, id, 'cat /root/disk.txt'), 'on disk');
    t.equal(await run(server, id, 'cat /tmp/memory.txt'), 'in memory');
    t.equal(await run(server, id, `kill -0 ${pid} && cat /tmp/pid`), pid, 'the program is the same one');
    const first = Number(await run(server, id, 'cat /tmp/counter'));
    const second = Number(
      await run(
        server,
        id,
        `n=$(cat /tmp/counter); while [ "$(cat /tmp/counter)" -le $((n+2)) ]; do sleep 0.05; done; cat /tmp/counter`,
      ),
    );
    t.ok(second > first, `the counter goes on: ${first} → ${second}`);
    const guestMs = Number(await run(server, id, 'date +%s')) * 1000;
    t.ok(
      Math.abs(guestMs - Date.now()) < 5000,
      `the clock is right, ${Date.now() - before} ms after the pause`,
    );

    const transitions = await http<{ transitions: Array<{ seq: number; to: string }> }>(
      server,
      'GET',
      `/sandboxes/${id}/transitions`,
    );
    t.ok(transitions.body.transitions.some(({ to }) => to === 'pausing.snapshotting'));

    const destroyed = await http<View>(server, 'DELETE', `/sandboxes/${id}`);
    t.equal(destroyed.body.state, 'destroyed');
    t.same(
      (await traces(dataDir)).filter((line) => line.includes(id)),
      [],
      'nothing of it is left',
    );
    const leaks = await dormouse(['host', 'leaks', '--json'], { DORMOUSE_DATA_DIR: dataDir });
    t.notMatch(leaks.stdout, id);
  },
);

t.test('clones do not share entropy, host name, MAC address or machine id', async (t) => {
  const clones = await Promise.all([create(), create()]);
  const facts = await Promise.all(
    clones.map(async ({ id }) => ({
      random: await run(server, id, 'head -c 32 /dev/urandom | od -An -tx1 | tr -d " \\n"'),
      uuid: await run(server, id, 'cat /proc/sys/kernel/random/uuid'),
      hostname: await run(server, id, 'hostname'),
      mac: await run(server, id, 'cat /sys/class/net/eth0/address'),
      machineId: await run(server, id, 'cat /etc/machine-id'),
    })),
  );
  for (const key of ['random', 'uuid', 'hostname', 'mac', 'machineId'] as const)
    t.not(facts[0]?.[key], facts[1]?.[key], key);
  t.equal(facts[0]?.hostname, clones[0]?.id);
  await Promise.all(clones.map(({ id }) => http(server, 'DELETE', `/sandboxes/${id}`)));
});

t.test('the disk has the size that was asked for, if that is not less than its template has', async (t) => {
  for (const size of [20480, 30720]) {
    const { id } = await create({ disk_size_mb: size });
    const kib = Number(await run(server, id, "df -k / | tail -1 | awk '{print $2}'"));
    const mib = kib / 1024;
    t.ok(mib > size * 0.9 && mib <= size, `${size} MiB asked for, df says ${mib.toFixed(0)}`);
    await http(server, 'DELETE', `/sandboxes/${id}`);
  }
  t.match((await http(server, 'POST', '/sandboxes', { template: 'minimal', disk_size_mb: 20479 })).body, {
    status: 400,
    code: 'INVALID_SIZE',
    disk_size_mb: 20479,
    minimum_mb: 20480,
  });
});

t.test('exec: exit status, signals, streams, bytes, users, folders, environment', async (t) => {
  const { id } = await create();
  const exec = async (body: Record<string, unknown>, headers?: Record<string, string>) =>
    await http(server, 'POST', `/sandboxes/${id}/exec`, body, headers);
  t.match((await exec({ cmd: 'echo out; echo err >&2; exit 3' })).body, {
    exit_code: 3,
    signal: null,
    stdout: 'out\n',
    stderr: 'err\n',
    timed_out: false,
  });
  t.match((await exec({ cmd: 'kill -9 $$' })).body, { exit_code: null, signal: 'SIGKILL' });
  t.match((await exec({ argv: ['/bin/cat'], stdin: 'héllo' })).body, {
    stdout: 'héllo',
    stdout_encoding: 'utf8',
  });
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString('base64');
  t.match((await exec({ argv: ['/bin/cat'], stdin: bytes, stdin_encoding: 'base64' })).body, {
    stdout: bytes,
    stdout_encoding: 'base64',
  });
  t.match((await exec({ cmd: 'pwd; echo $X; id -un', cwd: '/tmp', env: { X: 'y' } })).body, {
    stdout: '/tmp\ny\nroot\n',
  });
  t.match((await exec({ cmd: 'id -un', user: 'user' })).body, { stdout: 'user\n' });
  t.match((await exec({ argv: ['/no/such/program'] })).body, { status: 422, code: 'EXEC_NOT_FOUND' });
  t.match((await exec({ cmd: 'true', user: 'nobody-here' })).body, { code: 'EXEC_UNKNOWN_USER' });
  t.match((await exec({ cmd: 'true', cwd: '/nowhere' })).body, { code: 'EXEC_BAD_CWD' });
  const late = await exec({ cmd: 'echo begun; sleep 100', timeout_s: 3 });
  t.match(late.body, { timed_out: true, stdout: 'begun\n', signal: 'SIGKILL' });
  t.equal(await run(server, id, 'pgrep -f "sleep 100" || echo none'), 'none', 'it was killed in the guest');
  const much = await exec({ cmd: 'head -c 3000000 /dev/zero | tr "\\0" x' });
  t.match(much.body, { stdout_truncated: true, exit_code: 0 });
  t.equal((much.body.stdout as string).length, 1024 * 1024);
  t.match((await exec({ cmd: 'a', argv: ['b'] })).body, { status: 400, code: 'INVALID_REQUEST' });
  t.match((await exec({})).body, { status: 400 });
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test('a program goes on across a pause, and who waits for it gets its end', async (t) => {
  const { id } = await create();
  const waiting = http(server, 'POST', `/sandboxes/${id}/exec`, {
    cmd: 'echo begun > /tmp/begun; i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 0.05; done; echo done',
  });
  await run(server, id, 'while [ ! -e /tmp/begun ]; do sleep 0.02; done');
  t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/pause`)).body.state, 'paused');
  t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/resume`)).body.state, 'running');
  t.match((await waiting).body, { exit_code: 0, stdout: 'done\n' });
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test('wrong state: 409 with the state and what is allowed; auto_resume resumes for an exec', async (t) => {
  const { id } = await create();
  t.match((await http(server, 'POST', `/sandboxes/${id}/resume`)).body, {
    status: 409,
    code: 'SANDBOX_WRONG_STATE',
    state: 'running',
  });
  await http(server, 'POST', `/sandboxes/${id}/pause`);
  t.match((await http(server, 'POST', `/sandboxes/${id}/exec`, { cmd: 'true' })).body, {
    status: 409,
    state: 'paused',
    allowed: ['resume', 'restart', 'resize', 'destroy', 'snapshot', 'fork'],
  });
  const other = await create({ auto_resume: true });
  await http(server, 'POST', `/sandboxes/${other.id}/pause`);
  t.equal(await run(server, other.id, 'echo awake'), 'awake');
  t.equal((await http<View>(server, 'GET', `/sandboxes/${other.id}`)).body.state, 'running');
  await Promise.all([id, other.id].map((each) => http(server, 'DELETE', `/sandboxes/${each}`)));
});

t.test('the time of a sandbox: paused by timeout, extended by ping', async (t) => {
  const { id, expires_at } = await create({ timeout_s: 600 });
  t.ok(expires_at);
  const pinged = await http<View>(server, 'POST', `/sandboxes/${id}/ping`, { timeout_s: 3600 });
  t.ok(Date.parse(String(pinged.body.expires_at)) > Date.now() + 3_000_000);
  await http(server, 'POST', `/sandboxes/${id}/ping`, { timeout_s: 1 });
  const { state } = await eventually(server, id, (view) => view.state === 'paused');
  t.equal(state, 'paused');
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test('a program that runs keeps its sandbox from being idle', async (t) => {
  const { id } = await create({ timeout_s: 3 });
  t.match((await http(server, 'POST', `/sandboxes/${id}/exec`, { cmd: 'sleep 7; echo awake' })).body, {
    stdout: 'awake\n',
  });
  const { body } = await http<{ transitions: Array<{ to: string }> }>(
    server,
    'GET',
    `/sandboxes/${id}/transitions`,
  );
  t.notOk(
    body.transitions.some(({ to }) => to.startsWith('pausing')),
    'it was not paused meanwhile',
  );
  t.equal(
    (await eventually(server, id, ({ state }) => state === 'paused')).state,
    'paused',
    'and is afterwards',
  );
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test('the same Idempotency-Key is the same sandbox', async (t) => {
  const key = { 'idempotency-key': 'the-same' };
  const answers = await Promise.all(
    [1, 2].map(() => http<View>(server, 'POST', '/sandboxes', { template: 'minimal' }, key)),
  );
  t.equal(answers[0]?.body.id, answers[1]?.body.id);
  t.match((await http(server, 'POST', '/sandboxes', { template: 'minimal', vcpus: 2 }, key)).body, {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  await http(server, 'DELETE', `/sandboxes/${answers[0]?.body.id}`);
});

t.test('an exec with a key is done once, and its result is there for who asks again', async (t) => {
  const { id } = await create();
  const key = { 'idempotency-key': 'count-once' };
  const count = () =>
    http(server, 'POST', `/sandboxes/${id}/exec`, { cmd: 'echo x >> /tmp/count; wc -l < /tmp/count' }, key);
  t.match((await count()).body, { stdout: '1\n' });
  t.match((await count()).body, { stdout: '1\n' });
  t.match((await http(server, 'POST', `/sandboxes/${id}/exec`, { cmd: 'true' }, key)).body, {
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test(
  'a client that hangs up in the middle of a create: it is undone, unless there is a key to ask again with',
  async (t) => {
    const abandoned = async (headers: Record<string, string>): Promise<void> => {
      const hangUp = new AbortController();
      const request = fetch(`${server.url}/v1/sandboxes`, {
        method: 'POST',
        // Of a shape that is not kept ready, so that it boots for seconds.
        body: JSON.stringify({ template: 'minimal', memory_mb: 200 }),
        headers: { 'x-api-key': server.key, 'content-type': 'application/json', ...headers },
        signal: hangUp.signal,
      });
      request.catch(() => {});
      for (const end = Date.now() + 10_000; Date.now() < end; ) {
        if ((await traces(dataDir)).some((line) => line.includes('qemu') && line.includes('size=200M')))
          break;
      }
      hangUp.abort();
      await request.catch(() => {});
    };
    const booting = async (): Promise<string[]> =>
      (await traces(dataDir)).filter((line) => line.includes('size=200M'));
    await abandoned({});
    for (const end = Date.now() + 10_000; (await booting()).length > 0 && Date.now() < end; );
    t.same(await booting(), [], 'undone');
    const key = { 'idempotency-key': 'hang-up' };
    await abandoned(key);
    const { status, body } = await http<View>(
      server,
      'POST',
      '/sandboxes',
      { template: 'minimal', memory_mb: 200 },
      key,
    );
    t.match([status, body.state], [201, 'running'], 'it went on, and this is it');
    await http(server, 'DELETE', `/sandboxes/${body.id}`);
  },
);

t.test('bad requests are refused and leave nothing', async (t) => {
  const running = async (): Promise<string[]> =>
    (await traces(dataDir)).filter((line) => line.includes('qemu'));
  const before = await running();
  const refused = async (body: unknown, code: string): Promise<void> =>
    void t.match((await http(server, 'POST', '/sandboxes', body)).body, { code });
  await refused({ template: 'no-such' }, 'TEMPLATE_NOT_FOUND');
  await refused({ template: 'minimal', vcpus: 0 }, 'INVALID_REQUEST');
  await refused({ template: 'minimal', memory_mb: 1_000_000 }, 'INVALID_SIZE');
  await refused({ template: 'minimal', surprise: 1 }, 'INVALID_REQUEST');
  await refused('{"template":', 'MALFORMED_JSON');
  t.same(await running(), before);
});

t.test('restart boots the sandbox anew on the same disk', async (t) => {
  const { id } = await create();
  await run(server, id, 'echo kept > /root/kept; echo gone > /tmp/gone; sync');
  t.match((await http<View>(server, 'POST', `/sandboxes/${id}/restart`)).body, {
    state: 'running',
    execution: 2,
  });
  t.equal(await run(server, id, 'cat /root/kept; ls /tmp'), 'kept');
  await http(server, 'DELETE', `/sandboxes/${id}`);
});

t.test(
  'a guest that powers off, and a monitor that is killed: crashed, the disk is kept, restart works',
  async (t) => {
    const { id } = await create();
    await run(server, id, 'echo kept > /root/kept; sync');
    const [line] = await machinesOf(id);
    process.kill(Number(/process (\d+)/.exec(line ?? '')?.[1]), 'SIGKILL');
    const view = await eventually(
      server,
      id,
      ({ allowed }) => allowed.includes('restart') && !allowed.includes('pause'),
    );
    t.match(view, { state: 'crashed', last_error: { code: 'VMM_GONE' }, allowed: ['restart', 'destroy'] });
    t.equal((await http<View>(server, 'POST', `/sandboxes/${id}/restart`)).body.state, 'running');
    t.equal(await run(server, id, 'cat /root/kept'), 'kept');
    await http(server, 'DELETE', `/sandboxes/${id}`);
  },
);

t.test('the same over NATS', async (t) => {
  const { id, team_id } = await create();
  const ask = (command: string) =>
    dormouse(['nats-req', `dormouse.sandbox.${team_id}.${id}.${command}`, '{}'], {
      DORMOUSE_DATA_DIR: dataDir,
    });
  t.match(JSON.parse((await ask('pause')).stdout), { id, state: 'paused' });
  t.equal((await ask('pause')).exitCode, 1, 'an error is an exit status');
  t.match(JSON.parse((await ask('resume')).stdout), { state: 'running' });
  t.match(JSON.parse((await ask('destroy')).stdout), { state: 'destroyed' });
});

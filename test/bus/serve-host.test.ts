import t from 'tap';
import type { Host } from '../../src/actors/host/index.ts';
import type { LoopRegistry } from '../../src/actors/loop-registry/index.ts';
import { sandboxCommands } from '../../src/actors/sandbox/protocol.ts';
import type { Sandbox } from '../../src/actors/sandbox/sandbox.ts';
import type { CommandContext } from '../../src/actors/system/command.ts';
import type { BusInspector } from '../../src/bus/inspector.ts';
import { Changes, SandboxSubjects, serveHost } from '../../src/bus/serve-host.ts';
import { sandboxSubject } from '../../src/bus/subjects.ts';
import type { Bus } from '../../src/bus/types.ts';
import { newSandboxId } from '../../src/ids.ts';
import { connectTestBus, exampleHost, flushed, TEAM } from '../support/bus.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { gate, settled } from '../support/gate.ts';
import { startTestNats, until } from '../support/nats.ts';
import { quiet } from '../support/quiet.ts';

const reply = {
  ...{ exit_code: 0, signal: null, timed_out: false, duration_ms: 1 },
  ...{ stdout: '', stderr: '', stdout_encoding: 'utf8', stderr_encoding: 'utf8' },
  ...{ stdout_truncated: false, stderr_truncated: false },
};

t.test('a host that stops waits for a program for a while, and not until its end', async (t) => {
  const server = await startTestNats(t);
  const caller = await connectTestBus(t, server.url);
  const bus = await connectTestBus(t, server.url);
  const clock = fakeClock();
  const subjects = new SandboxSubjects(bus, clock);
  const short = gate();
  const running: string[] = [];
  const id = newSandboxId();
  subjects.appeared({
    id,
    context: { teamId: TEAM },
    async exec({ cmd }: { cmd: string }, { signal }: CommandContext) {
      running.push(cmd);
      const end = cmd === 'short' ? short : gate();
      signal.addEventListener('abort', () => end.fail(signal.reason));
      await end.passed;
      return reply;
    },
    // Only what is asked of it here.
  } as unknown as Sandbox);
  await flushed(bus);
  const exec = (cmd: string): Promise<unknown> =>
    caller.request(`${sandboxSubject(TEAM, id)}.exec`, sandboxCommands.exec, { cmd });
  const [quick, slow] = [exec('short'), exec('long')];
  slow.catch(() => {});
  await until(() => running.length === 2, 'both programs');
  let isClosed = false;
  const closed = subjects.close().then(() => {
    isClosed = true;
  });
  clock.advance(9_999);
  short.open();
  t.match(await quick, { exit_code: 0 }, 'one that ends in time is answered');
  t.equal(isClosed, false);
  clock.advance(1);
  await t.rejects(slow, { code: 'HOST_DRAINING', detail: /goes on/, data: { begun: true } });
  await closed;
  t.same(clock.armed(), []);
});

t.test('a host that cannot tell how it is for a while is announced when it can', async (t) => {
  const clock = fakeClock();
  const announced: unknown[] = [];
  let fails = true;
  const host = {
    id: 'h-test',
    async info() {
      if (fails) throw Object.assign(new Error('EIO: statfs'), { code: 'EIO' });
      return exampleHost('h-test');
    },
    async stopMaking() {},
  };
  const bus = {
    service: async () => ({ close: async () => {} }),
    hosts: { announce: async (info: unknown) => void announced.push(info), withdraw: async () => {} },
    // Only what keeps the entry.
  } as unknown as Bus;
  const parts = { host: host as Host, loops: {} as LoopRegistry, inspector: {} as BusInspector };
  const served = await serveHost(bus, parts, { clock, log: quiet }, new Changes());
  const turns = async (): Promise<void> => {
    clock.advance(4_000);
    await settled();
    clock.advance(200);
    await settled();
  };
  await turns();
  t.same(announced, []);
  fails = false;
  await turns();
  t.same(announced, [exampleHost('h-test')]);
  await served.close();
});

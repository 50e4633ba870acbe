import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { QMP_LINE_MAX, QmpClient } from '../../../../src/drivers/vmm/qemu/qmp.ts';
import { hasCode } from '../../../../src/errors/index.ts';
import { LineSplitter } from '../../../../src/line-splitter.ts';

/** What a monitor that has gone wrong may say; the real one is tested with the machines. */

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';
const limit = (): AbortSignal => AbortSignal.timeout(10_000);

/** A server that greets, takes capabilities, and answers each command with what `answer` gives. */
async function fakeMonitor(
  t: Tap,
  answer: (id: number, execute: string, socket: net.Socket) => void,
): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dmq-'));
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write(GREETING);
    const lines = new LineSplitter(65536);
    socket.on('data', (chunk) => {
      for (const line of lines.push(chunk)) {
        const { id, execute } = JSON.parse(line);
        if (execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${id}}\r\n`);
        else answer(id, execute, socket);
      }
    });
  });
  server.listen(path.join(dir, 's'));
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await rm(dir, { recursive: true, force: true });
  });
  return path.join(dir, 's');
}
type Tap = typeof t;

t.test('an answer that comes too late is not taken for the next one', async (t) => {
  let late = 0;
  const socketPath = await fakeMonitor(t as Tap, (id, execute, socket) => {
    if (execute === 'stop') late = id;
    else socket.write(`{"return": "late", "id": ${late}}\r\n{"return": {"running": true}, "id": ${id}}\r\n`);
  });
  const monitor = await QmpClient.connect(socketPath, limit());
  const impatient = new AbortController();
  const reason = new Error('enough');
  const stopped = monitor.execute('stop', undefined, impatient.signal);
  impatient.abort(reason);
  await t.rejects(stopped, reason);
  t.same(await monitor.execute('query-status', undefined, limit()), { running: true });
  monitor.close();
});

t.test('an error carries its class and description', async (t) => {
  const socketPath = await fakeMonitor(t as Tap, (id, _, socket) =>
    socket.write(`{"error": {"class": "GenericError", "desc": "no such thing"}, "id": ${id}}\r\n`),
  );
  const monitor = await QmpClient.connect(socketPath, limit());
  const error = await monitor.execute('cont', undefined, limit()).catch((thrown: unknown) => thrown);
  t.ok(hasCode(error, 'VMM_FAILED'));
  t.match(error, { data: { command: 'cont', qmpClass: 'GenericError', desc: 'no such thing' } });
  monitor.close();
});

t.test('what is not the protocol ends the connection and every command that waits', async (t) => {
  const wrong = { garbage: 'hello\r\n', 'a number': '42\r\n', endless: 'x'.repeat(QMP_LINE_MAX + 1) };
  for (const [name, bytes] of Object.entries(wrong)) {
    const socketPath = await fakeMonitor(t as Tap, (_, __, socket) => socket.write(bytes));
    const monitor = await QmpClient.connect(socketPath, limit());
    const error = await monitor.execute('cont', undefined, limit()).catch((thrown: unknown) => thrown);
    t.ok(hasCode(error, 'VMM_FAILED'), name);
    await monitor.ended;
    t.notOk(monitor.isOpen, name);
  }
});

t.test('nobody who listens, and nobody who greets', async (t) => {
  const nobody = await QmpClient.connect('/nonexistent/socket', limit()).catch((thrown: unknown) => thrown);
  t.ok(hasCode(nobody, 'VMM_FAILED'));

  const socketPath = await fakeMonitor(t as Tap, () => {});
  const controller = new AbortController();
  const reason = new Error('enough');
  const silent = QmpClient.connect(socketPath, controller.signal).then((monitor) =>
    monitor.execute('cont', undefined, controller.signal),
  );
  controller.abort(reason);
  await t.rejects(silent, reason);
});

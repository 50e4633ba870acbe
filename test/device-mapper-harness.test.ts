import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import t from 'tap';
import { type KernelRun, runInKernel } from './device-mapper/boot.ts';
import { type FileReport, reportReader, runFiles } from './device-mapper/files.ts';
import { KernelError } from './device-mapper/kernel-error.ts';

/** The harness of `device-mapper/`: what a kernel's command says comes out whole, and nothing is left however it ends. */

/** A kernel that is up soon: no disk, no modules. */
const SMALL = { scratchMb: 0, modules: [], memoryMb: 1024 } satisfies Partial<KernelRun>;
const MIB = 2 ** 20;
/** Many times what it takes. */
const PANIC_LIMIT_MS = 75_000;
t.setTimeout(5 * 60_000);
const RUN = path.join(import.meta.dirname, 'device-mapper', 'run.ts');

t.test('outputs come whole and apart, and the exit status with them', async (t) => {
  const outputs = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const script = `head -c ${MIB} /dev/zero | tr '\\0' o; head -c ${MIB} /dev/zero | tr '\\0' e >&2
    printf '%s|%s|%s|%s' "$1" "$MARK" "$PWD" "$(id -u)"; sleep 1000 & exit 42`;
  const odd = 'a "word" with \'all\'\n$(of) `it` \\';
  const { status, bootMs, totalMs } = await runInKernel({
    ...SMALL,
    command: ['bash', '-c', script, 'bash', odd],
    env: { MARK: odd },
    onOutput: (output, chunk) => outputs[output].push(chunk),
  });
  t.equal(status, 42);
  t.equal(Buffer.concat(outputs.stderr).compare(Buffer.alloc(MIB, 'e')), 0, 'standard error');
  const stdout = Buffer.concat(outputs.stdout);
  t.equal(stdout.subarray(0, MIB).compare(Buffer.alloc(MIB, 'o')), 0, 'standard output');
  t.equal(stdout.subarray(MIB).toString(), `${odd}|${odd}|${process.cwd()}|0`, 'arguments and environment');
  t.ok(bootMs > 0 && totalMs > bootMs, `booted in ${bootMs} ms, ended after ${totalMs} ms`);
});

t.test('a panic is told with the kernel log', async (t) => {
  const panic = (): Promise<unknown> =>
    runInKernel({
      ...SMALL,
      command: ['sh', '-c', 'echo c >/proc/sysrq-trigger'],
      limitMs: PANIC_LIMIT_MS,
    }).then(
      () => undefined,
      (error: unknown) => error,
    );
  let error = await panic();
  // Under emulation a kernel that stops its other processor for the panic waits for ever now and then.
  for (let tries = 1; tries < 3 && /did not end within/.test(String(error)); tries += 1)
    error = await panic();
  t.ok(error instanceof KernelError);
  t.match(error, { message: /without an exit status[\s\S]*Kernel panic - not syncing/ });
});

t.test('a time limit and a signal end it', async (t) => {
  await t.rejects(
    runInKernel({ ...SMALL, command: ['sleep', '1000'], limitMs: 2_000 }),
    /did not end within 2 s/,
  );
  await t.rejects(
    runInKernel({
      ...SMALL,
      command: ['sh', '-c', 'while sleep 1; do echo here; done & sleep 25; kill $!; sleep 1000'],
      silentMs: 20_000,
      limitMs: 120_000,
    }),
    { message: /said nothing for 20 s/, isSilent: true },
    'one that says nothing any more; while it does, it goes on',
  );
  const reason = new Error('enough');
  const controller = new AbortController();
  const running = runInKernel({
    ...SMALL,
    command: ['sh', '-c', 'echo runs; sleep 1000'],
    signal: controller.signal,
    onOutput: () => controller.abort(reason),
  });
  await t.rejects(running, reason);
  t.same(await childrenOf(process.pid), [], 'QEMU is gone');
});

t.test('nothing is left when the process that runs it is killed', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kernel-harness-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const runner = execa(process.execPath, [RUN, '--memory=1024', 'sh', '-c', 'echo runs; sleep 1000'], {
    env: { TMPDIR: folder },
    reject: false,
  });
  const first = await runner.iterable()[Symbol.asyncIterator]().next();
  t.equal(first.value, 'runs');
  const children = await childrenOf(runner.pid!);
  t.equal(children.length, 1, 'QEMU runs');
  runner.kill('SIGKILL');
  t.equal((await runner).signal, 'SIGKILL');
  // The kernel's own work: it is told by a signal.
  while (await isAlive(children[0]!)) await delay(10);
  t.same(await readdir(folder), []);
});

t.test('a file that leaves something in the kernel fails, and what it left is named', async (t) => {
  const reports: FileReport[] = [];
  const lines: string[] = [];
  const { status } = await runFiles(['test/device-mapper/fixtures/leaves-things.ts'], {
    ...SMALL,
    modules: ['loop', 'dm-mod', 'dm-zero'],
    onFile: (report) => reports.push(report),
    onLine: (line) => lines.push(line),
  });
  t.equal(status, 1);
  t.match(reports, [{ ok: false, summary: /^total: 1, pass: 1; devices: 1; / }]);
  const left = (reports[0]?.details ?? []).filter((line) => line.startsWith('# it left '));
  t.match(left.sort(), [
    /device left \(\d+:0\)$/,
    /loop device loop0 on .*\/left$/,
    /mount left \/mnt tmpfs$/,
    /network namespace left$/,
    /process \d+: sleep 1000$/,
  ]);
  t.ok(lines.includes('kernel: 1 device-mapper devices were made'), lines.join('; '));
});

t.test('the report of what ran inside', async (t) => {
  const seen: unknown[] = [];
  const report = reportReader(
    ({ file, ok, summary, details }) => seen.push({ file, ok, summary, lines: details.length }),
    (line) => seen.push(line),
  );
  const tap = `TAP version 14
# Subtest: a.test.ts
    ok 1 - fine
    1..1
    # total: 1, pass: 1; devices: 2
ok 1 - a.test.ts # time=12ms
# Subtest: b.test.ts
    # it left device x
    # total: 1, pass: 1; devices: 1
not ok 2 - b.test.ts # time=5ms
1..2
# kernel: 3 device-mapper devices were made`;
  for (const line of tap.split('\n')) report.line(line);
  t.same(seen, [
    'a.test.ts …',
    { file: 'a.test.ts', ok: true, summary: 'total: 1, pass: 1; devices: 2; 12 ms', lines: 3 },
    'b.test.ts …',
    { file: 'b.test.ts', ok: false, summary: 'total: 1, pass: 1; devices: 1; 5 ms', lines: 2 },
    'kernel: 3 device-mapper devices were made',
  ]);
  report.line('    ok 1 - half of c');
  t.same(report.unfinished(), ['ok 1 - half of c']);
});

/** Pids of a process's living children. */
async function childrenOf(pid: number): Promise<string[]> {
  const { stdout } = await execa('pgrep', ['--parent', String(pid)], { reject: false });
  // pgrep is itself a child when it is asked for ours.
  const alive = await Promise.all(
    stdout
      .split('\n')
      .filter(Boolean)
      .map(async (child) => ((await isAlive(child)) ? [child] : [])),
  );
  return alive.flat();
}

async function isAlive(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/\) Z /.test(stat);
}

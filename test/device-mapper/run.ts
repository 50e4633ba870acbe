import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runInKernel } from './boot.ts';
import { testCommand } from './bundle.ts';
import { KernelError } from './kernel-error.ts';

const HELP = `Usage: npm run test:kernel -- [options] TEST-FILE...
       npm run test:kernel -- [options] PROGRAM [ARGUMENT...]

Boots a stock kernel in QEMU, on this machine's files with a layer in memory on
top, and runs test files or a program in it as root. TMPDIR is on an XFS file
system with reflinks, at /scratch. Nothing that is written stays.

  --udev           run systemd-udevd inside
  --cpu=MODEL      QEMU's processor (default: one that has /dev/kvm inside)
  --memory=MIB     default: 4096
  --scratch=MIB    size of /scratch (default: 8192)
  --limit=SECONDS  end it after that long (default: 3600)
  --log            print the kernel's log at the end
  --help           print this

Test files give TAP on standard output, a subtest for each file. The exit status
is that of the program; 125 when the kernel ended before it.`;

const DIED = 125;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const firstWord = argv.findIndex((word) => !word.startsWith('--'));
  const [own, words] = firstWord < 0 ? [argv, []] : [argv.slice(0, firstWord), argv.slice(firstWord)];
  const { values } = parseArgs({
    args: [...own],
    options: {
      udev: { type: 'boolean' },
      cpu: { type: 'string' },
      memory: { type: 'string' },
      scratch: { type: 'string' },
      limit: { type: 'string', default: '3600' },
      log: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const [program, ...args] = words;
  if (values.help || program === undefined) {
    console.log(HELP);
    return values.help ? 0 : 1;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  const areTests = words.every((word) => word.endsWith('.ts') && existsSync(word));
  const tests = areTests ? await testCommand(words) : undefined;
  try {
    const { status, bootMs, totalMs, kernelLog } = await runInKernel({
      ...(tests ?? { command: [program, ...args] }),
      limitMs: Number(values.limit) * 1000,
      signal: stop.signal,
      onOutput: (output, chunk) => process[output].write(chunk),
      ...(values.cpu === undefined ? {} : { cpu: values.cpu }),
      ...(values.udev === undefined ? {} : { udev: values.udev }),
      ...(values.memory === undefined ? {} : { memoryMb: Number(values.memory) }),
      ...(values.scratch === undefined ? {} : { scratchMb: Number(values.scratch) }),
    });
    if (values.log) console.error(kernelLog);
    console.error(
      `kernel: ${(bootMs / 1000).toFixed(1)} s to the command, ${(totalMs / 1000).toFixed(1)} s in all`,
    );
    return status;
  } catch (error) {
    if (!(error instanceof KernelError) && !stop.signal.aborted) throw error;
    console.error(`kernel: ${error instanceof Error ? error.message : error}`);
    return DIED;
  }
}

import fc from 'fast-check';
import t from 'tap';
import { qemuArguments, qmpArgument, runDirOf } from '../../../../src/drivers/vmm/qemu/command-line.ts';
import { tscKhzOf } from '../../../../src/drivers/vmm/qemu/host-tsc.ts';
import type { VmSpec } from '../../../../src/drivers/vmm/types.ts';

const spec: VmSpec = {
  sandboxId: 'sb-aaaaaaaaaaaaaaaaaaaa',
  runDir: '/data, of mine/run',
  vcpus: 2,
  memoryMb: 512,
  memoryPath: '/data, of mine/live/memory',
  diskPath: '/dev/mapper/x',
  slot: { number: 3, namespace: 'n', namespacePath: '/run/netns/n', tap: 'tap0', address: '10.200.0.7' },
  kernelPath: '/kernel/vmlinux',
  initrdPath: '/kernel/initrd.cpio',
  mac: '02:64:6d:00:01:01',
  hostname: 'sb-aaaaaaaaaaaaaaaaaaaa',
  token: 'f'.repeat(64),
};

function optionOf(argv: readonly string[], option: string): string {
  return argv[argv.indexOf(option) + 1] ?? '';
}

t.test('a machine is found again by its run folder, whatever the folder is called', async (t) => {
  const seed = Date.now() & 0xffff;
  t.comment(`seed ${seed}`);
  const name = fc.string({ unit: fc.constantFrom('a', ',', '/', ' ', '=', ':'), minLength: 1 });
  fc.assert(
    fc.property(name, fc.array(fc.string()), (folder, others) => {
      const argv = [...others.filter((word) => word !== '-qmp'), '-qmp', qmpArgument(`/${folder}`)];
      return runDirOf(argv) === `/${folder}`;
    }),
    { seed },
  );
  t.equal(runDirOf(['grep', qmpArgument('/x')]), undefined);
  t.equal(runDirOf(['qemu', '-qmp', 'stdio']), undefined);
  t.equal(runDirOf(['qemu', '-qmp']), undefined);
});

t.test('a comma in a path does not become an option', async (t) => {
  const argv = qemuArguments(spec, { accelerator: 'tcg', beginning: 'boot' });
  t.match(optionOf(argv, '-object'), 'mem-path=/data,, of mine/live/memory,share=on');
});

t.test('boot and load give the same devices; only a boot has a kernel and a token', async (t) => {
  const boot = qemuArguments(spec, { accelerator: 'tcg', beginning: 'boot' });
  const load = qemuArguments(spec, { accelerator: 'tcg', beginning: 'load' });
  const devices = (argv: string[]): string[] => argv.filter((_, at) => argv[at - 1] === '-device');
  t.same(devices(load), devices(boot));
  t.ok(optionOf(boot, '-append').includes(`dormouse.token=${spec.token}`));
  t.notOk(load.join(' ').includes(spec.token));
  t.ok(load.includes('-S'), 'a loaded machine waits');
});

t.test('only an emulated guest is told the rate of the counter', async (t) => {
  const append = (accelerator: 'kvm' | 'tcg'): string =>
    optionOf(qemuArguments(spec, { accelerator, beginning: 'boot', tscKhz: 2596130 }), '-append');
  t.match(append('tcg'), 'tsc_early_khz=2596130');
  t.notMatch(append('kvm'), 'tsc_early_khz');
  t.notMatch(optionOf(qemuArguments(spec, { accelerator: 'tcg', beginning: 'boot' }), '-append'), 'tsc_');
});

t.test('the rate of the counter is taken only from a host that says it', async (t) => {
  const cpuinfo = (flags: string): string => `cpu MHz\t\t: 2596.130\nflags\t\t: fpu ${flags} sse\n`;
  t.equal(tscKhzOf(cpuinfo('constant_tsc hypervisor')), 2596130);
  t.equal(tscKhzOf(cpuinfo('constant_tsc aperfmperf')), undefined, 'the clock of the moment');
  t.equal(tscKhzOf(cpuinfo('tsc')), undefined, 'a counter that changes its rate');
  t.equal(tscKhzOf(''), undefined);
});

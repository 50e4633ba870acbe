import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { diskDriverByContent } from '../../../src/drivers/disk/by-content.ts';
import { createDiskDriver, type DeviceMapperPorts } from '../../../src/drivers/disk/index.ts';
import { createReflinkDriver } from '../../../src/drivers/disk/reflink/index.ts';
import { deviceMapperSupport } from '../../../src/drivers/disk/support.ts';
import type { DiskDriver } from '../../../src/drivers/disk/types.ts';

const { signal } = new AbortController();
const sandboxId = 'sb-aaaaaaaaaaaaaaaaaaaa';

t.test('a disk is of the kind that its files say, whatever was chosen', async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-kind-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const said: string[] = [];
  const driver = (kind: DiskDriver['kind']): DiskDriver =>
    new Proxy({ kind } as DiskDriver, {
      get: (target, name) =>
        name === 'kind'
          ? target.kind
          : name === 'then'
            ? undefined
            : async () => void said.push(`${kind} ${String(name)}`),
    });
  const [reflink, mapped] = [driver('reflink'), driver('device-mapper')];
  const both = diskDriverByContent('device-mapper', reflink, mapped, '');
  const disk = { sandboxId, dir };

  await both.create({ ...disk, imagePath: '/image', sizeMb: 1 }, signal);
  await both.attach(disk, signal);
  await both.remove(disk, signal);
  await writeFile(path.join(dir, 'disk.json'), '{}');
  await both.attach(disk, signal);
  await both.clone(dir, `${dir}-other`, signal);
  await both.capture(disk, `${dir}-other`, signal);
  await both.grow(dir, 2);
  await both.imageOf(dir);
  t.same(said.splice(0), [
    'device-mapper create',
    'reflink attach',
    'device-mapper remove',
    'reflink remove',
    'device-mapper attach',
    'device-mapper clone',
    'device-mapper capture',
    'device-mapper grow',
    'device-mapper imageOf',
  ]);

  const without = diskDriverByContent('reflink', reflink, undefined, 'the kernel has none');
  await t.rejects(without.attach(disk, signal), {
    code: 'DEPENDENCY_MISSING',
    detail: /the kernel has none/,
  });
  await without.detach(disk, signal);
  t.same(said, ['reflink detach'], 'what cannot be there need not be removed');
});

t.test('the driver that is chosen', async (t) => {
  const support = await deviceMapperSupport();
  const ports = {} as DeviceMapperPorts;
  const auto = await createDiskDriver('auto', ports);
  t.equal(auto.driver.kind, support.ok ? 'device-mapper' : 'reflink', auto.reason);
  t.equal((await createDiskDriver('reflink', ports)).driver.kind, 'reflink');
  if (support.ok) t.equal((await createDiskDriver('device-mapper', ports)).driver.kind, 'device-mapper');
  else
    await t.rejects(createDiskDriver('device-mapper', ports), {
      code: 'DEPENDENCY_MISSING',
      detail: new RegExp(support.reason.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')),
    });
});

t.test('a clone of a file may be larger', async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dm-clone-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const reflink = createReflinkDriver();
  const at = (name: string): { sandboxId: string; dir: string } => ({
    sandboxId,
    dir: path.join(dir, name),
  });
  await writeFile(path.join(dir, 'image'), Buffer.alloc(2 ** 20, 1));
  await reflink.create({ ...at('a'), imagePath: path.join(dir, 'image'), sizeMb: 2 }, signal);
  await reflink.clone(at('a').dir, at('b').dir, signal, { sizeMb: 4 });
  t.equal((await reflink.usage(at('b'))).sizeBytes, 4 * 2 ** 20);
  await reflink.clone(at('a').dir, at('c').dir, signal, { sizeMb: 1 });
  t.equal((await reflink.usage(at('c'))).sizeBytes, 2 * 2 ** 20, 'and never smaller');
  await reflink.sync(at('c').dir);
});

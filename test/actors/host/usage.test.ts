import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { usageOf } from '../../../src/actors/host/usage.ts';

const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-usage-'));
t.teardown(() => rm(root, { recursive: true, force: true }));
const { signal } = new AbortController();

/** A folder as a sandbox's: some files, one with a hole. */
async function folder(id: string, bytes: number): Promise<{ id: string; root: string }> {
  const at = path.join(root, id);
  await mkdir(path.join(at, 'live'), { recursive: true });
  await writeFile(path.join(at, 'state.json'), '{}');
  await writeFile(path.join(at, 'live', 'disk'), Buffer.alloc(bytes, 1));
  await writeFile(path.join(at, 'live', 'memory'), '');
  await truncate(path.join(at, 'live', 'memory'), 2 ** 30);
  return { id, root: at };
}

t.test('what the files of sandboxes take, as du says', async (t) => {
  const folders = await Promise.all(
    Array.from({ length: 9 }, (_, at) => folder(`sb-${9 - at}`, at * 100_000)),
  );
  const { sandboxes } = await usageOf(folders, signal);
  t.same(
    sandboxes.map(({ id }) => id),
    folders.map(({ id }) => id).sort(),
  );
  for (const { id, root: at } of folders) {
    const { stdout } = await execa('du', ['--summarize', '--block-size=1', at]);
    const found = sandboxes.find((one) => one.id === id)?.allocated_bytes;
    t.equal(found, Number(stdout.split('\t')[0]), id);
    t.ok((found ?? 0) < 2 ** 30, 'holes take nothing');
  }
});

t.test('what is gone takes nothing; what cannot be looked at is an error', async (t) => {
  const gone = { id: 'sb-gone', root: path.join(root, 'gone') };
  t.same(await usageOf([gone], signal), { sandboxes: [{ id: 'sb-gone', allocated_bytes: 0 }] });
  t.same(await usageOf([], signal), { sandboxes: [] });
  const file = path.join(root, 'file');
  await writeFile(file, '');
  await t.rejects(usageOf([{ id: 'sb-x', root: path.join(file, 'x') }], signal), { code: 'ENOTDIR' });
});

t.test('it stops when nobody waits any more', async (t) => {
  const some = await folder('sb-some', 1);
  const reason = new Error('gone away');
  await t.rejects(usageOf([some], AbortSignal.abort(reason)), reason);
});

import { once } from 'node:events';
import { access, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { startTestEdge } from './edge.ts';
import { finished, LAUNCHER, startNode, temporaryFolder } from './support.ts';

/** A Node of this machine that cannot run the command line itself, or undefined. */
async function olderNode(): Promise<string | undefined> {
  const folders = (process.env.PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => !folder.includes('node_modules'));
  for (const folder of [...folders, '/usr/local/bin', '/usr/bin']) {
    const file = path.join(folder, 'node');
    const result = await execa(file, ['--version'], { reject: false });
    const major = Number.parseInt(String(result.stdout).slice(1), 10);
    if (result.exitCode === 0 && major >= 20 && major < 24) return file;
  }
  return undefined;
}

const older = await olderNode();

for (const [name, node] of [
  ['the pinned Node', process.execPath],
  ['an older Node', older],
] as const) {
  t.test(`started with ${name}`, { skip: node === undefined && 'there is none here' }, async (t) => {
    if (node === undefined) return;
    const edge = await startTestEdge(t);
    const { id } = edge.add();
    const run = (file: string, args: string[], cwd = '/') =>
      finished(startNode([file, ...args], edge.settings, { node, cwd, input: Buffer.from('in\n') }));

    const passed = await run(LAUNCHER, ['exec', id, '--', 'sh', '-c', 'cat; echo err >&2; exit 9']);
    t.equal(passed.status, 9, 'the status passes');
    t.equal(passed.stdout.toString(), 'in\n', 'standard input and output pass');
    t.equal(passed.stderr, 'err\n');

    const folder = await temporaryFolder(t);
    const link = path.join(folder, 'dm');
    await symlink(LAUNCHER, link);
    const linked = await run(link, ['--version'], folder);
    t.equal(linked.status, 0, 'through a link, from another folder');

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const child = startNode(
        [LAUNCHER, 'exec', id, '--', 'sh', '-c', 'echo started; exec sleep 60'],
        edge.settings,
        { node, buffer: false },
      );
      await once(child.stdout, 'data');
      const closed = once(child.stdout, 'close');
      child.kill(signal);
      t.equal((await finished(child)).signal, signal, `ends by ${signal}`);
      await closed;
      t.pass('nobody holds its output any more: the child has gone too');
    }
  });

  t.test(
    `without the set-up, with ${name}`,
    { skip: node === undefined && 'there is none here' },
    async (t) => {
      if (node === undefined) return;
      const folder = await temporaryFolder(t);
      await mkdir(path.join(folder, 'bin'));
      await copyFile(LAUNCHER, path.join(folder, 'bin', 'dormouse'));
      await writeFile(path.join(folder, 'package.json'), '{"type": "module"}');
      const result = await finished(startNode([path.join(folder, 'bin', 'dormouse'), 'up'], {}, { node }));
      t.equal(result.status, 1);
      t.match(result.stderr, /set-up was not run .*npm start.*npm run setup/);
    },
  );
}

t.test('can be executed', async (t) => {
  await t.resolves(access(LAUNCHER, 1));
});

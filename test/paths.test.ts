import path from 'node:path';
import t from 'tap';
import { qmpSocket, stateSocket } from '../src/drivers/vmm/qemu/command-line.ts';
import { newSandboxId } from '../src/ids.ts';
import { pathsOf, sandboxPaths } from '../src/paths.ts';

/** unix(7): sun_path has 108 bytes with the final NUL. */
const SOCKET_MAX = 107;

function longestThatFits(char: string): string {
  let dir = '/';
  for (;;) {
    try {
      pathsOf(dir + char);
    } catch {
      return dir;
    }
    dir += char;
  }
}

t.test('everything is below the data directory', async (t) => {
  const paths = pathsOf('/data');
  for (const [name, file] of Object.entries(paths))
    t.ok(name === 'root' || file.startsWith('/data/'), `${name} is ${file}`);
  t.equal(new Set(Object.values(paths)).size, Object.keys(paths).length, 'no two are the same');
  for (const folder of [paths.sandboxes, paths.templates])
    t.equal(path.dirname(folder), paths.store, 'what is cloned is on the store');
  const own = sandboxPaths(paths, 'sb-aaaaaaaaaaaaaaaaaaaa');
  t.same(
    Object.values(own).filter((file) => !file.startsWith(`${paths.sandboxes}/sb-aaaaaaaaaaaaaaaaaaaa`)),
    [],
  );
});

t.test('sockets of the longest data directory that is accepted just fit', async (t) => {
  for (const char of ['a', 'ü']) {
    const dir = longestThatFits(char);
    const { run } = sandboxPaths(pathsOf(dir), newSandboxId());
    const longest = Math.max(
      ...[qmpSocket(run), stateSocket(run)].map((socket) => Buffer.byteLength(socket)),
    );
    t.ok(longest <= SOCKET_MAX, `${longest} bytes`);
    t.ok(longest > SOCKET_MAX - Buffer.byteLength(char), 'and one more character would not');
  }
});

t.test('a longer one is refused with what would fit', async (t) => {
  const dir = `${longestThatFits('a')}a`;
  t.throws(() => pathsOf(dir), {
    code: 'DATA_DIR_TOO_LONG',
    detail: new RegExp(
      `has ${dir.length} bytes; sockets below it allow ${dir.length - 1}\\b.*DORMOUSE_DATA_DIR`,
    ),
  });
});

import { chmod, copyFile, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The user that programs run as when they need not be root. */
export const USER_ID = 1000;

/** What does not belong to root, with everything below it: path within the image. */
export const USER_HOME = '/home/user';

/** Where busybox says that its programs belong is a path below the root; this one is for an init of busybox's own. */
const LEFT_OUT = new Set(['linuxrc']);

const FOLDERS: ReadonlyArray<readonly [name: string, mode: number]> = [
  ...['bin', 'sbin', 'usr', 'usr/bin', 'usr/sbin', 'usr/local', 'usr/local/bin', 'usr/lib', 'lib', 'etc'].map(
    (name) => [name, 0o755] as const,
  ),
  ...['dev', 'proc', 'sys', 'run', 'mnt', 'opt', 'srv', 'home', 'var', 'var/log', 'home/user'].map(
    (name) => [name, 0o755] as const,
  ),
  ['root', 0o700],
  ['tmp', 0o1777],
  ['var/tmp', 0o1777],
];

const FILES: ReadonlyArray<readonly [name: string, mode: number, content: string]> = [
  [
    'etc/passwd',
    0o644,
    [
      'root:x:0:0:root:/root:/bin/sh',
      `user:x:${USER_ID}:${USER_ID}:user:${USER_HOME}:/bin/sh`,
      'nobody:x:65534:65534:nobody:/:/bin/false',
      '',
    ].join('\n'),
  ],
  ['etc/group', 0o644, `root:x:0:\ntty:x:5:\nuser:x:${USER_ID}:\nnogroup:x:65534:\n`],
  // No password opens an account.
  ['etc/shadow', 0o600, 'root:*:0:::::\nuser:*:0:::::\nnobody:*:0:::::\n'],
  ['etc/hosts', 0o644, '127.0.0.1\tlocalhost\n::1\tlocalhost\n'],
  ['etc/shells', 0o644, '/bin/sh\n/bin/ash\n'],
  [
    'etc/profile',
    0o644,
    [
      'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      "export PS1='\\u@\\h:\\w\\$ '",
      'umask 022',
      '',
    ].join('\n'),
  ],
  [
    'etc/os-release',
    0o644,
    'NAME="Dormouse minimal"\nID=dormouse-minimal\nPRETTY_NAME="Dormouse minimal (busybox)"\n',
  ],
  // The guest kit fills these in when a sandbox gets its identity.
  ['etc/hostname', 0o644, 'sandbox\n'],
  ['etc/machine-id', 0o644, ''],
  ['etc/resolv.conf', 0o644, ''],
];

/** Time of change of every file, so that the same busybox gives the same tree. Seconds since the epoch. */
const MODIFIED_AT_S = 0;

/**
 * Writes the files of the template `minimal` into an empty folder. Their owners are whoever runs this; the image gets
 * its own.
 *
 * @param root the folder
 * @param busybox path of a static busybox
 * @param applets what `busybox --list-full` prints: where each of its programs belongs, such as `bin/ls`
 * @returns path of everything written, within the image (`/bin/ls`), folders before what they hold
 */
export async function writeMinimalTree(
  root: string,
  busybox: string,
  applets: readonly string[],
): Promise<string[]> {
  const written: string[] = [];
  const at = (name: string): string => {
    written.push(`/${name}`);
    return path.join(root, name);
  };
  // A mode that is given on creation would be cut by the umask.
  for (const [name, mode] of FOLDERS) {
    const folder = at(name);
    await mkdir(folder, { recursive: true });
    await chmod(folder, mode);
  }
  for (const [name, mode, content] of FILES) {
    const file = at(name);
    await writeFile(file, content);
    await chmod(file, mode);
  }
  const program = at('bin/busybox');
  await copyFile(busybox, program);
  await chmod(program, 0o755);
  for (const name of applets) {
    if (LEFT_OUT.has(name) || name === 'bin/busybox') continue;
    await symlink('/bin/busybox', at(name));
  }
  await symlink('/proc/mounts', at('etc/mtab'));
  // From the inside out: writing into a folder changes its time.
  for (const name of [...written].reverse())
    await lutimes(path.join(root, name), MODIFIED_AT_S, MODIFIED_AT_S);
  return written;
}

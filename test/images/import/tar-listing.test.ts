import t from 'tap';
import { parseListing } from '../../../src/images/import/tar-listing.ts';

t.test('lines of tar', async (t) => {
  for (const [line, expected] of [
    ['-rw-r--r-- 0/0               6 2026-01-31 19:00 "a b"', { kind: 'file', name: 'a b', bytes: 6 }],
    ['drwxr-xr-x 1000/1000         0 2026-01-31 19:00 "./"', { kind: 'folder', name: './', bytes: 0 }],
    ['hrw-r--r-- 0/0 0 2026-01-31 19:00 "l" link to "a"', { kind: 'hard link', name: 'l', target: 'a' }],
    ['lrwxrwxrwx 0/0 0 2026-01-31 19:00 "s" -> "x \\"y"', { kind: 'symlink', name: 's', target: 'x "y' }],
    ['crw-rw-rw- 0/0             1,3 2026-01-31 19:00 "n"', { kind: 'device', name: 'n', bytes: 0 }],
    ['brw-rw-rw- 0/0             8,0 2026-01-31 19:00 "n"', { kind: 'device', name: 'n' }],
    ['prw-r--r-- 0/0               0 1970-01-01 00:00 "p"', { kind: 'fifo', name: 'p' }],
    [
      '-rw-r--r-- 0/0 0 2026-01-31 19:00 "\\303\\251\\n\\\\ -> \\"x\\""',
      { name: '\xc3\xa9\n\\ -> "x"', target: '' },
    ],
    ['-rwxr-xr-x 0/0 0 -2147483648-01-31 19:00 "a"', { kind: 'file', name: 'a' }],
  ] as const)
    t.match(parseListing(line), expected, line);
});

t.test('what has no place in a root file system', async (t) => {
  for (const line of [
    '?rw-r--r-- 0/0 0 2026-01-31 19:00 "x"',
    'V--------- 0/0 0 2026-01-31 19:00 "volume"--Volume Header--',
    'M--------- 0/0 0 2026-01-31 19:00 "part"--Continued at byte 7--',
    '-rw-r--r-- 0/0 99999999999999999999 2026-01-31 19:00 "x"',
    '-rw-r--r-- 0/0 -1 2026-01-31 19:00 "x"',
    '-rw-r--r-- 0/0 1 2026-01-31 19:00 "x',
    '',
  ])
    t.throws(() => parseListing(line), { code: 'TEMPLATE_INVALID' }, line);
});

import fc from 'fast-check';
import t from 'tap';
import { Value } from 'typebox/value';
import { guestRequestOf, replyOf } from '../../../src/actors/sandbox/exec.ts';
import { ExecReply, MAX_OUTPUT_BYTES, MAX_STDIN_BYTES } from '../../../src/actors/sandbox/protocol.ts';
import type { GuestExecResult } from '../../../src/drivers/guest/types.ts';

const result = (changes: Partial<GuestExecResult> = {}): GuestExecResult => ({
  exitCode: 0,
  signal: null,
  timedOut: false,
  durationMs: 1.5,
  stdout: new Uint8Array(),
  stderr: new Uint8Array(),
  stdoutTruncated: false,
  stderrTruncated: false,
  ...changes,
});
const bytesOf = (text: string, encoding: 'utf8' | 'base64'): Buffer => Buffer.from(text, encoding);

t.test('a shell command, a program, and their defaults', async (t) => {
  t.match(guestRequestOf({ cmd: 'echo $HOME' }, 'c-1'), {
    argv: ['/bin/sh', '-c', 'echo $HOME'],
    cwd: undefined,
    stdin: undefined,
    timeoutMs: 60_000,
    outputLimitBytes: MAX_OUTPUT_BYTES,
  });
  t.match(
    guestRequestOf(
      { argv: ['/bin/ls', '-l', ''], cwd: '/tmp', env: { A: '1' }, user: 'nobody', timeout_s: 0.0004 },
      'c',
    ),
    { argv: ['/bin/ls', '-l', ''], cwd: '/tmp', env: { A: '1' }, user: 'nobody', timeoutMs: 1 },
  );
});

t.test('what the template says holds where the request says nothing', async (t) => {
  const defaults = { user: 'app', cwd: '/srv', env: { A: '1', B: '2' } };
  t.match(guestRequestOf({ cmd: 'x' }, 'c', defaults), defaults);
  t.match(guestRequestOf({ cmd: 'x', user: 'root', cwd: '/', env: { B: '3', C: '4' } }, 'c', defaults), {
    user: 'root',
    cwd: '/',
    env: { A: '1', B: '3', C: '4' },
  });
  t.equal(guestRequestOf({ cmd: 'x', env: { A: '' } }, 'c', defaults).env?.A, '', 'also with nothing in it');
});

t.test('the command id names the program in the guest: the same one attaches again', async (t) => {
  const idOf = (commandId: string) => guestRequestOf({ cmd: 'x' }, commandId).execId;
  t.equal(idOf('c-1'), idOf('c-1'));
  t.not(idOf('c-1'), idOf('c-2'));
  t.match(idOf('anything: at all'), /^[0-9a-f]{32}$/);
});

t.test('exactly one of cmd and argv', async (t) => {
  const refused = { code: 'INVALID_REQUEST' };
  t.throws(() => guestRequestOf({}, 'c'), refused);
  t.throws(() => guestRequestOf({ cmd: 'a', argv: ['b'] }, 'c'), refused);
  t.throws(() => guestRequestOf({ argv: ['a', 'b\0c'] }, 'c'), refused);
  t.throws(() => guestRequestOf({ cmd: 'a\0b' }, 'c'), refused);
});

t.test('property: stdin arrives as the bytes that were meant, in both encodings', async (t) => {
  const check = fc.check(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: 'grapheme' }), (bytes, text) => {
      const binary = guestRequestOf(
        { cmd: 'cat', stdin: Buffer.from(bytes).toString('base64'), stdin_encoding: 'base64' },
        'c',
      ).stdin;
      const utf8 = guestRequestOf({ cmd: 'cat', stdin: text }, 'c').stdin;
      return (
        Buffer.compare(Buffer.from(binary ?? []), bytes) === 0 && Buffer.from(utf8 ?? []).toString() === text
      );
    }),
  );
  t.notOk(check.failed, `seed ${check.seed}, counterexample ${JSON.stringify(check.counterexample)}`);
});

t.test('property: base64 that is accepted loses nothing', async (t) => {
  const almost = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'AQgw+/=\n -_'), maxLength: 12 }),
    fc.base64String({ maxLength: 12 }).map((text) => text.slice(0, -1)),
  );
  const check = fc.check(
    fc.property(almost, (text) => {
      let decoded: Uint8Array | undefined;
      try {
        decoded = guestRequestOf({ cmd: 'cat', stdin: text, stdin_encoding: 'base64' }, 'c').stdin;
      } catch (error) {
        return (error as { code?: string }).code === 'INVALID_REQUEST';
      }
      // Six bits for each character, and whatever is left of a byte in the last one is padding.
      return (
        decoded?.length === Math.floor((text.replace(/=+$/, '').length * 6) / 8) &&
        /^[A-Za-z0-9+/]*={0,2}$/.test(text) &&
        text.replace(/=+$/, '').length % 4 !== 1
      );
    }),
    { numRuns: 1000, examples: [['A'], ['AAAAA'], ['QQ'], ['QQ=='], ['=']] },
  );
  t.notOk(check.failed, `seed ${check.seed}, counterexample ${JSON.stringify(check.counterexample)}`);
});

t.test('too much stdin is refused by its size in bytes, whatever its encoding', async (t) => {
  const just = Buffer.alloc(MAX_STDIN_BYTES);
  const over = Buffer.alloc(MAX_STDIN_BYTES + 1);
  const send = (bytes: Buffer) =>
    guestRequestOf({ cmd: 'cat', stdin: bytes.toString('base64'), stdin_encoding: 'base64' }, 'c').stdin;
  t.equal(send(just)?.length, MAX_STDIN_BYTES);
  t.throws(() => send(over), { code: 'PAYLOAD_TOO_LARGE' });
  t.throws(() => guestRequestOf({ cmd: 'cat', stdin: 'ü'.repeat(MAX_STDIN_BYTES / 2 + 1) }, 'c'), {
    code: 'PAYLOAD_TOO_LARGE',
  });
});

t.test('property: no byte of an output is changed, and text stays text', async (t) => {
  const output = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ unit: 'grapheme' }).map((text) => new TextEncoder().encode(text)),
  );
  const check = fc.check(
    fc.property(output, output, (stdout, stderr) => {
      const reply = replyOf(result({ stdout, stderr }));
      return (
        Value.Check(ExecReply, reply) &&
        Buffer.compare(bytesOf(reply.stdout, reply.stdout_encoding), stdout) === 0 &&
        Buffer.compare(bytesOf(reply.stderr, reply.stderr_encoding), stderr) === 0
      );
    }),
    {
      numRuns: 500,
      // A byte order mark, a character that was cut, a NUL, a lone surrogate in CESU-8.
      examples: [
        [[0xef, 0xbb, 0xbf, 0x61], [0xc3]],
        [[0], [0xed, 0xa0, 0x80]],
      ].map(([one = [], two = []]) => [new Uint8Array(one), new Uint8Array(two)] as [Uint8Array, Uint8Array]),
    },
  );
  t.notOk(check.failed, `seed ${check.seed}, counterexample ${JSON.stringify(check.counterexample)}`);
  t.equal(replyOf(result({ stdout: Buffer.from('grün\n') })).stdout, 'grün\n');
  t.equal(replyOf(result({ stdout: new Uint8Array([0xff]) })).stdout_encoding, 'base64');
});

t.test('how a program ended', async (t) => {
  t.match(replyOf(result({ exitCode: null, signal: 'SIGKILL', timedOut: true, stderrTruncated: true })), {
    exit_code: null,
    signal: 'SIGKILL',
    timed_out: true,
    stdout_truncated: false,
    stderr_truncated: true,
    duration_ms: 1.5,
  });
});

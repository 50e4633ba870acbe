import { randomBytes } from 'node:crypto';
import { execaSync } from 'execa';
import t from 'tap';
import { SetupError } from '../../scripts/setup/run.mjs';
import { extractVmlinux } from '../../scripts/setup/vmlinux.mjs';

const SETUP_SECTORS = 3;
const PAYLOAD_OFFSET = 716;

/** A bzImage as the boot protocol describes it, around a payload. */
function bzImage(payload: Buffer): Buffer {
  const realMode = Buffer.alloc((SETUP_SECTORS + 1) * 512);
  realMode.writeUInt8(SETUP_SECTORS, 0x1f1);
  realMode.write('HdrS', 0x202, 'latin1');
  realMode.writeUInt16LE(0x020f, 0x206);
  realMode.writeUInt32LE(PAYLOAD_OFFSET, 0x248);
  realMode.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([realMode, randomBytes(PAYLOAD_OFFSET), payload, randomBytes(100)]);
}

/** Half of it compresses, half does not. */
const elf = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(50_000), randomBytes(50_000)]);

function compressed(program: string, args: string[], appendSize: boolean, content: Buffer = elf): Buffer {
  // A checksum may end in what execa takes for a line break.
  const { stdout } = execaSync(program, args, {
    input: content,
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  const size = Buffer.alloc(4);
  size.writeUInt32LE(content.length);
  return Buffer.concat([stdout, ...(appendSize ? [size] : [])]);
}

const FORMATS: Array<[program: string, args: string[], appendSize: boolean]> = [
  ['gzip', ['-c'], false],
  ['xz', ['-c', '--check=crc32', '--lzma2=dict=1MiB'], true],
  ['zstd', ['-cq'], true],
  ['lz4', ['-cqlz', '-l'], true],
];

for (const [program, args, appendSize] of FORMATS) {
  t.test(`a kernel compressed with ${program}`, async (t) => {
    t.ok(extractVmlinux(bzImage(compressed(program, args, appendSize))).equals(elf));
  });
}

t.test('a kernel that is not compressed', async (t) => {
  t.ok(extractVmlinux(bzImage(elf)).equals(elf));
});

t.test('what holds no kernel is refused with the reason', async (t) => {
  const refused = (image: Buffer, message: RegExp): void => {
    try {
      extractVmlinux(image);
      t.fail(`taken, although ${message}`);
    } catch (error) {
      t.ok(error instanceof SetupError && message.test(error.message), String(error));
    }
  };
  refused(Buffer.alloc(0), /no bzImage/);
  refused(randomBytes(4096), /no bzImage/);
  refused(bzImage(Buffer.from('nothing known')), /unknown way/);
  refused(bzImage(compressed('gzip', ['-c'], false, Buffer.from('not an ELF file'))), /not an ELF/);
  const cut = compressed('xz', ['-c'], true);
  refused(bzImage(cut.subarray(0, cut.length / 2)), /xz -dc failed/);
  const wrongSize = compressed('zstd', ['-cq'], true);
  wrongSize.writeUInt32LE(1, wrongSize.length - 4);
  refused(bzImage(wrongSize), /do not have the length/);
});

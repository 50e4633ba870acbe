// @ts-check
import { run, SetupError } from './run.mjs';

/**
 * The uncompressed kernel from a distribution's bzImage. QEMU's microvm machine and Firecracker load the ELF file
 * itself, which saves the guest the decompression: seconds under emulation.
 *
 * Where the compressed kernel lies is said by the boot protocol's header (Documentation/arch/x86/boot.rst of Linux):
 * the payload begins `payload_offset` bytes after the real-mode code, which is `setup_sects + 1` sectors long.
 */
const SECTOR_BYTES = 512;
const SETUP_SECTS_AT = 0x1f1;
const MAGIC_AT = 0x202;
const VERSION_AT = 0x206;
const PAYLOAD_OFFSET_AT = 0x248;
const PAYLOAD_LENGTH_AT = 0x24c;
const HEADER_END = 0x250;
/** `payload_offset` and `payload_length` came with version 2.08. */
const LEAST_VERSION = 0x0208;
/** The kernel's build appends the uncompressed size, except to gzip, which has it already (scripts/Makefile.lib, size_append). */
const APPENDED_SIZE_BYTES = 4;

/** What a kernel may be compressed with: how its data begin, and what decompresses standard input to standard output. */
const FORMATS = [
  { name: 'gzip', magic: [0x1f, 0x8b], command: ['gzip', '-dc'], sizeAppended: false },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], command: ['xz', '-dc'], sizeAppended: true },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], command: ['zstd', '-dcq'], sizeAppended: true },
  // lz4's legacy frame, the only one that the kernel's build writes.
  { name: 'lz4', magic: [0x02, 0x21, 0x4c, 0x18], command: ['lz4', '-dcq'], sizeAppended: true },
];

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);

/**
 * @param {Buffer} image a bzImage, such as /boot/vmlinuz-6.1.0-56-cloud-amd64
 * @returns {Buffer} the ELF file in it
 * @throws {SetupError} when it is not a bzImage, or compressed in a way that is not known
 */
export function extractVmlinux(image) {
  if (
    image.length < HEADER_END ||
    image.toString('latin1', MAGIC_AT, MAGIC_AT + 4) !== 'HdrS' ||
    image.readUInt16LE(VERSION_AT) < LEAST_VERSION
  )
    throw new SetupError('The kernel package holds no bzImage for x86.');
  // Zero means four, for the sake of very old loaders.
  const setupSectors = image.readUInt8(SETUP_SECTS_AT) || 4;
  const start = (setupSectors + 1) * SECTOR_BYTES + image.readUInt32LE(PAYLOAD_OFFSET_AT);
  const payload = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH_AT));
  if (payload.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC)) return payload;

  const format = FORMATS.find(({ magic }) => payload.subarray(0, magic.length).equals(Buffer.from(magic)));
  const [program, ...args] = format?.command ?? [];
  if (!format || program === undefined)
    throw new SetupError(
      `The kernel is compressed in an unknown way (its data begin with ${payload.toString('hex', 0, 6)}).`,
    );
  const input = format.sizeAppended ? payload.subarray(0, -APPENDED_SIZE_BYTES) : payload;
  const vmlinux = run(program, args, { input });
  if (!vmlinux.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC))
    throw new SetupError(`What the kernel's ${format.name} data hold is not an ELF file.`);
  if (format.sizeAppended && payload.readUInt32LE(payload.length - APPENDED_SIZE_BYTES) !== vmlinux.length)
    throw new SetupError(`The kernel's ${format.name} data do not have the length that they say.`);
  return vmlinux;
}

// @ts-check

/**
 * A cpio archive in the `newc` format, which is what the kernel unpacks as its initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst of Linux). Owner is root, times are zero: the same
 * content gives the same bytes.
 *
 * @typedef {{ name: string, mode: number, content?: Buffer }} Entry `mode` with the file type, such as 0o100755;
 *   `name` without a leading slash, after the folder that holds it
 */

export const FOLDER = 0o040755;
export const FILE = 0o100644;
export const PROGRAM = 0o100755;
/** A symbolic link; its content is where it points to. */
export const LINK = 0o120777;

const ALIGNMENT = 4;
const TRAILER = 'TRAILER!!!';

/**
 * @param {readonly Entry[]} entries
 * @returns {Buffer}
 */
export function cpioArchive(entries) {
  const parts = entries.map((entry, index) => record(entry, index + 1));
  return Buffer.concat([...parts, record({ name: TRAILER, mode: 0 }, 0)]);
}

/** @param {Entry} entry @param {number} inode @returns {Buffer} */
function record({ name, mode, content = Buffer.alloc(0) }, inode) {
  const nameBytes = Buffer.from(`${name}\0`);
  const links = 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, nameBytes.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, nameBytes])), padded(content)]);
}

/** @param {Buffer} bytes @returns {Buffer} */
function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}

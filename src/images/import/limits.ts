/** What an upload may ask of the host. */
export interface ImportLimits {
  /** Bytes of all files together, of an archive when it is decompressed, and of a file system. Holes count. */
  bytes: number;
  /** Files, folders and links together. */
  entries: number;
  /** Bytes in the names of all entries together, with the targets of links: all of them are in memory at once. */
  namesBytes: number;
  /** Bytes in the path of an entry. */
  pathBytes: number;
  /** Bytes in the name of an entry, without its folder. */
  nameBytes: number;
  /** How many bytes a byte of a compressed archive may become. */
  ratio: number;
  /** Decompressed bytes up to which the ratio does not matter: a small archive may be all zeros. */
  ratioFromBytes: number;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Room for images of several gigabytes and a hundred thousand files; `ratio` is far above what real files reach. */
export const DEFAULT_IMPORT_LIMITS: ImportLimits = {
  bytes: 20 * GIB,
  entries: 1_000_000,
  namesBytes: 256 * MIB,
  pathBytes: 4096,
  nameBytes: 255,
  ratio: 200,
  ratioFromBytes: 100 * MIB,
};

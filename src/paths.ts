import path from 'node:path';
import { DormouseError } from './errors/index.ts';

/** Longest path of a unix socket, in bytes, without its final NUL (unix(7): sun_path has 108). */
const UNIX_PATH_MAX = 107;
/** What is appended to the data directory for the longest socket: a sandbox's QMP or state socket. */
const LONGEST_SOCKET = '/store/sandboxes/sb-aaaaaaaaaaaaaaaaaaaa/run/state.sock';

/** Where everything is, below the data directory. One place, so that the layout can be read in one go. */
export interface Paths {
  /** The data directory. */
  root: string;
  /** Held by the one Dormouse that uses the data directory. */
  lock: string;
  /** Address, pid and other facts of the server that runs, for the client commands. */
  serverInfo: string;
  apiKey: string;
  hostId: string;
  log: string;
  /** The embedded servers. */
  nats: string;
  postgres: string;
  /** Guest kernel and initramfs, made by the set-up. */
  kernel: string;
  /** XFS image that is mounted on `store` when the data directory has no reflinks. */
  storeImage: string;
  /** Everything that is cloned lives on one file system with reflinks. */
  store: string;
  sandboxes: string;
  templates: string;
  /** Copies of sandboxes that are being made into forks or templates. Nothing in it outlives an agent. */
  captures: string;
  /** Files that templates are built from, and what is unpacked of them. Nothing in it outlives an agent. */
  uploads: string;
}

/**
 * @param dataDir absolute path
 * @throws `DATA_DIR_TOO_LONG` when the sockets below it would not fit
 */
export function pathsOf(dataDir: string): Paths {
  const room = UNIX_PATH_MAX - Buffer.byteLength(LONGEST_SOCKET);
  if (Buffer.byteLength(dataDir) > room) {
    throw new DormouseError(
      'DATA_DIR_TOO_LONG',
      `The data directory's path has ${Buffer.byteLength(dataDir)} bytes; sockets below it allow ${room}. Choose a shorter one with DORMOUSE_DATA_DIR.`,
    );
  }
  const at = (...parts: string[]): string => path.join(dataDir, ...parts);
  return {
    root: dataDir,
    lock: at('lock'),
    serverInfo: at('server.json'),
    apiKey: at('api-key'),
    hostId: at('host-id'),
    log: at('dormouse.log'),
    nats: at('nats'),
    postgres: at('postgres'),
    kernel: at('kernel'),
    storeImage: at('store.xfs'),
    store: at('store'),
    sandboxes: at('store', 'sandboxes'),
    templates: at('store', 'templates'),
    captures: at('store', 'captures'),
    uploads: at('store', 'uploads'),
  };
}

/** The folders of one sandbox. */
export interface SandboxPaths {
  root: string;
  journal: string;
  live: string;
  snapshot: string;
  run: string;
}

export function sandboxPaths(paths: Pick<Paths, 'sandboxes'>, sandboxId: string): SandboxPaths {
  const root = path.join(paths.sandboxes, sandboxId);
  return {
    root,
    journal: path.join(root, 'state.json'),
    live: path.join(root, 'live'),
    snapshot: path.join(root, 'snapshot'),
    run: path.join(root, 'run'),
  };
}

/** The files of a live or snapshot directory. The disk's own files are the disk driver's matter. */
export const MEMORY_FILE = 'memory';
export const META_FILE = 'meta.json';

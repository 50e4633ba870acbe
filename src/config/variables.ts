import os from 'node:os';
import path from 'node:path';
import { checkHttpUrl, databaseName, parseNatsUrl, parseNetworks } from '../addresses.ts';
import { checkApiKey } from '../api-key.ts';
import { HOST_ID_PATTERN } from '../ids.ts';

/**
 * Every setting, as data: `dormouse up --help`, the README's table and the validation are made from this list.
 * A setting is an environment variable; there is no configuration file.
 */
export interface Variable {
  name: string;
  kind: 'string' | 'integer' | 'boolean' | 'path' | 'url' | 'choice';
  /** Shown in help. `undefined`: not set unless the user sets it. */
  fallback: string | undefined;
  help: string;
  choices?: readonly string[];
  /** For a string: what it must match. */
  pattern?: string;
  /** For a string or URL: throws an `Error` that says what would be right. */
  check?: (text: string) => unknown;
  /** Never shown in a message, as a URL, which may have a password in it. */
  isSecret?: true;
  min?: number;
  max?: number;
  /** For tests: taken, but shown neither in the help nor in the README. */
  hidden?: true;
}

function defaultDataDir(): string {
  if (process.getuid?.() === 0) return '/var/lib/dormouse';
  return path.join(process.env.XDG_DATA_HOME ?? path.join(os.homedir(), '.local', 'share'), 'dormouse');
}

export const variables = {
  dataDir: {
    name: 'DORMOUSE_DATA_DIR',
    kind: 'path',
    fallback: defaultDataDir(),
    help: 'where sandboxes, templates and the embedded servers keep their data',
  },
  httpHost: {
    name: 'DORMOUSE_HTTP_HOST',
    kind: 'string',
    fallback: '127.0.0.1',
    help: 'address that the edge listens on',
  },
  httpPort: {
    name: 'DORMOUSE_HTTP_PORT',
    kind: 'integer',
    fallback: '7070',
    min: 0,
    max: 65535,
    help: 'port that the edge listens on; 0 for any free one',
  },
  auth: {
    name: 'DORMOUSE_AUTH',
    kind: 'choice',
    fallback: 'keys',
    choices: ['keys', 'none'],
    help: 'whether requests need an API key; none lets everybody who can reach the edge do everything, so it is taken only where DORMOUSE_HTTP_HOST is an address of this machine alone, such as 127.0.0.1',
  },
  trustedProxies: {
    name: 'DORMOUSE_TRUSTED_PROXIES',
    kind: 'string',
    fallback: undefined,
    check: parseNetworks,
    help: 'addresses or networks of the proxies before the edge, such as 10.0.0.1,192.168.0.0/16: X-Forwarded-For is believed from them alone, so that callers are told apart who guess keys, and in the audit log; without it every caller behind a proxy has the address of the proxy',
  },
  natsUrl: {
    name: 'NATS_URL',
    kind: 'url',
    fallback: undefined,
    check: parseNatsUrl,
    help: 'NATS servers to use, separated by commas, such as nats://user:password@host:4222, or tls://host:4222; without it one is started',
  },
  natsName: {
    name: 'DORMOUSE_NATS_NAME',
    kind: 'string',
    fallback: undefined,
    // It becomes a part of a subject.
    pattern: '^[A-Za-z0-9_-]{1,64}$',
    help: "name of this process on NATS, whose replies come to _INBOX_<name>; without it the role's name",
  },
  natsSeedFile: {
    name: 'DORMOUSE_NATS_SEED_FILE',
    kind: 'path',
    fallback: undefined,
    help: "file with the seed (SU…) of this process's nkey, instead of a user and password in NATS_URL",
  },
  natsCa: {
    name: 'DORMOUSE_NATS_CA',
    kind: 'path',
    fallback: undefined,
    help: 'file with the certificates (PEM) of the authority that NATS servers are believed by; without it those that Node knows',
  },
  natsCert: {
    name: 'DORMOUSE_NATS_CERT',
    kind: 'path',
    fallback: undefined,
    help: "file with this process's certificate (PEM), for NATS servers that ask for one",
  },
  natsKey: {
    name: 'DORMOUSE_NATS_KEY',
    kind: 'path',
    fallback: undefined,
    help: 'file with the private key (PEM) of that certificate',
  },
  databaseUrl: {
    name: 'DATABASE_URL',
    kind: 'url',
    fallback: undefined,
    check: databaseName,
    help: 'PostgreSQL database to use, such as postgresql://user@host/dormouse; without it one is started',
  },
  apiKey: {
    name: 'DORMOUSE_API_KEY',
    kind: 'string',
    isSecret: true,
    fallback: undefined,
    check: checkApiKey,
    help: "API key that the server makes sure of, and that the client commands send, at least 20 characters; without it `dormouse up` makes one when nobody has a key with the scope admin, and keeps it in the data directory's file api-key",
  },
  url: {
    name: 'DORMOUSE_URL',
    kind: 'url',
    fallback: undefined,
    check: checkHttpUrl,
    help: 'address of the edge for the client commands; without it that of the server which runs on this data directory',
  },
  hostId: {
    name: 'DORMOUSE_HOST_ID',
    kind: 'string',
    fallback: undefined,
    pattern: HOST_ID_PATTERN,
    help: 'name of this host on the bus; without it one is made and kept in the data directory',
  },
  logLevel: {
    name: 'DORMOUSE_LOG_LEVEL',
    kind: 'choice',
    fallback: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    help: 'least level that is logged',
  },
  logFile: {
    name: 'DORMOUSE_LOG_FILE',
    kind: 'path',
    fallback: undefined,
    help: 'file for the log; without it `dormouse up` writes to dormouse.log in the data directory and the other roles to standard error',
  },
  diskDriver: {
    name: 'DORMOUSE_DISK_DRIVER',
    kind: 'choice',
    fallback: 'auto',
    choices: ['auto', 'device-mapper', 'reflink'],
    help: 'how new disks are made; auto takes device-mapper where the kernel has it',
  },
  storeSizeMb: {
    name: 'DORMOUSE_STORE_SIZE_MB',
    kind: 'integer',
    fallback: undefined,
    min: 1024,
    max: 1_073_741_824,
    help: 'size of the XFS image that is made when the data directory has no reflinks; without it most of what is free',
  },
  imageSizeMb: {
    name: 'DORMOUSE_IMAGE_SIZE_MB',
    kind: 'integer',
    fallback: '20480',
    min: 0,
    max: 16_777_216,
    help: "size in MiB that the templates' images are expanded to when a host starts, and that no disk can be smaller than; larger ones stay; 0 leaves all as they are",
  },
  uploadMaxMb: {
    name: 'DORMOUSE_UPLOAD_MAX_MB',
    kind: 'integer',
    fallback: '20480',
    min: 1,
    max: 16_777_216,
    help: 'largest file in MiB that a template can be built from',
  },
  diskLowMb: {
    name: 'DORMOUSE_DISK_LOW_MB',
    kind: 'integer',
    fallback: '512',
    min: 0,
    max: 1_073_741_824,
    help: 'free space on the store, in MiB, below which nothing is created or resumed',
  },
  diskCriticalMb: {
    name: 'DORMOUSE_DISK_CRITICAL_MB',
    kind: 'integer',
    fallback: '256',
    min: 0,
    max: 1_073_741_824,
    help: 'free space on the store, in MiB, below which everything that runs is paused, too',
  },
  accelerator: {
    name: 'DORMOUSE_ACCELERATOR',
    kind: 'choice',
    fallback: 'auto',
    choices: ['auto', 'kvm', 'tcg'],
    help: 'how virtual CPUs are run; auto tries KVM and falls back to emulation',
  },
  qemu: { name: 'DORMOUSE_QEMU', kind: 'string', fallback: 'qemu-system-x86_64', help: 'QEMU program' },
  spareSlots: {
    name: 'DORMOUSE_SPARE_SLOTS',
    kind: 'integer',
    fallback: '2',
    min: 0,
    max: 64,
    help: 'network slots made ahead of time',
  },
  vcpus: {
    name: 'DORMOUSE_VCPUS',
    kind: 'integer',
    fallback: undefined,
    min: 1,
    max: 4096,
    help: 'virtual CPUs that running sandboxes may take together; without it 16 for each processor',
  },
  memoryMb: {
    name: 'DORMOUSE_MEMORY_MB',
    kind: 'integer',
    fallback: undefined,
    min: 128,
    max: 1_073_741_824,
    help: 'guest memory in MiB that running sandboxes may take together; without it 90 % of what the machine has',
  },
  guestTimeoutS: {
    name: 'DORMOUSE_GUEST_TIMEOUT_S',
    kind: 'integer',
    fallback: '60',
    min: 1,
    max: 3600,
    help: 'seconds that a guest has to answer after it was started',
  },
  janitorS: {
    name: 'DORMOUSE_JANITOR_S',
    kind: 'integer',
    fallback: '30',
    min: 0,
    max: 86_400,
    help: 'seconds between two passes of the janitor, which removes what no sandbox holds; 0 for the one at the start only',
  },
  mailboxSize: {
    name: 'DORMOUSE_MAILBOX_SIZE',
    kind: 'integer',
    fallback: '64',
    min: 1,
    max: 65536,
    help: 'messages that wait for one sandbox before further ones are refused',
  },
  faults: {
    name: 'DORMOUSE_FAULTS',
    kind: 'string',
    fallback: undefined,
    hidden: true,
    help: 'what is to go wrong in this process, and where; see src/fault-injection.ts',
  },
} as const satisfies Record<string, Variable>;

export type VariableKey = keyof typeof variables;

import { readdir, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Check, Examination, Finding } from '../finding.ts';
import { ask } from '../probe.ts';

/** A program whose version is shown. */
interface Program {
  name: string;
  program: (examination: Examination) => string;
  debianPackage: string;
  args: readonly string[];
  cost: string;
  folders?: () => Promise<string[]>;
  /** True when the settings name a server of their own, so that none is started. */
  isUnneeded?: (examination: Examination) => boolean;
}

const POSTGRES_DIR = '/usr/lib/postgresql';
const GUEST_MANIFEST = path.join(import.meta.dirname, '..', '..', '..', '.cache', 'guest', 'manifest.json');

const PROGRAMS: readonly Program[] = [
  {
    name: 'QEMU',
    program: ({ config }) => config.qemu,
    debianPackage: 'qemu-system-x86',
    args: ['--version'],
    cost: 'no sandbox can run',
  },
  {
    name: 'NATS server',
    program: () => 'nats-server',
    debianPackage: 'nats-server',
    args: ['--version'],
    cost: '`dormouse up` cannot start the message bus; NATS_URL can name one that runs elsewhere',
    isUnneeded: ({ config }) => config.natsUrl !== undefined,
  },
  {
    name: 'PostgreSQL',
    program: () => 'postgres',
    debianPackage: 'postgresql',
    args: ['--version'],
    cost: '`dormouse up` cannot start the database; DATABASE_URL can name one that runs elsewhere',
    folders: postgresFolders,
    isUnneeded: ({ config }) => config.databaseUrl !== undefined,
  },
  {
    name: 'e2fsprogs',
    program: () => 'mke2fs',
    debianPackage: 'e2fsprogs',
    args: ['-V'],
    cost: 'templates cannot be made, checked or resized',
  },
  {
    name: 'tar',
    program: () => 'tar',
    debianPackage: 'tar',
    args: ['--version'],
    cost: 'templates cannot be made from archives',
  },
  {
    name: 'xz',
    program: () => 'xz',
    debianPackage: 'xz-utils',
    args: ['--version'],
    cost: 'templates cannot be made from archives that xz compressed',
  },
  {
    name: 'zstd',
    program: () => 'zstd',
    debianPackage: 'zstd',
    args: ['--version'],
    cost: 'templates cannot be made from archives that zstd compressed',
  },
];

/** Versions of what Dormouse runs on. */
export const checkVersions: readonly Check[] = [
  async () => ({ name: 'Node.js', status: 'ok', found: process.versions.node }),
  async () => ({ name: 'kernel', status: 'ok', found: os.release() }),
  checkGuestKernel,
  ...PROGRAMS.map(
    (program): Check =>
      (examination) =>
        checkProgram(program, examination),
  ),
];

async function checkProgram(program: Program, examination: Examination): Promise<Finding> {
  const { name, debianPackage, args, cost } = program;
  const folders = await program.folders?.();
  const answer = await ask(program.program(examination), debianPackage, args, examination.signal, folders);
  if (answer.ok) return { name, status: 'ok', found: versionIn(answer.output) };
  if (program.isUnneeded?.(examination))
    return { name, status: 'ok', found: 'not installed, and not needed' };
  return { name, status: 'missing', found: answer.reason, cost, remedy: `apt-get install ${debianPackage}` };
}

/** The first thing in a program's greeting that looks like a version, or the greeting. */
export function versionIn(output: string): string {
  return /\d+(\.\d+)+\S*/.exec(output)?.[0].replace(/[),;]+$/, '') ?? output.trim();
}

/** Newest first. */
async function postgresFolders(): Promise<string[]> {
  const versions = await readdir(POSTGRES_DIR).catch(() => []);
  return versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => path.join(POSTGRES_DIR, version, 'bin'));
}

async function checkGuestKernel(): Promise<Finding> {
  const name = 'guest kernel';
  try {
    const manifest = JSON.parse(await readFile(GUEST_MANIFEST, 'utf8')) as { kernelVersion?: unknown };
    return { name, status: 'ok', found: String(manifest.kernelVersion) };
  } catch {
    return {
      name,
      status: 'missing',
      found: 'not there',
      cost: 'no sandbox can boot',
      remedy: 'npm run setup',
    };
  }
}

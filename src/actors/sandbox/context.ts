import type { Slot } from '../../drivers/network/types.ts';
import type { VmRef } from '../../drivers/vmm/types.ts';
import type { ErrorRecord } from '../../errors/index.ts';
import type { BaseContext } from '../system/actor-options.ts';
import type { SandboxOptions } from './protocol.ts';

/** Kinds of host resources that a sandbox can hold. Each has its undo in `steps/`. */
export const LEDGER_KINDS = ['live', 'disk', 'slot', 'vmm', 'snapshot'] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

/** What a sandbox starts from: an image (cold boot), or a saved machine that is cloned. */
export type SandboxSource = { kind: 'image'; imagePath: string } | { kind: 'snapshot'; dir: string };

/** What a program gets when its exec says nothing else; `env` is added to, name by name. */
export interface ExecDefaults {
  user?: string;
  cwd?: string;
  env?: Record<string, string>;
}

/** Guest kernel and initramfs that the machine was booted with; a saved machine is loaded with the same ones. */
export interface KernelFiles {
  kernelPath: string;
  initrdPath: string;
}

/**
 * Where a stranded sandbox was heading: the state that is tried again. `pausing`: the virtual machine is down and the
 * disk stayed busy, so the pause is finished; the others are undone further.
 */
export type Heading = 'pausing' | 'rollingBack' | 'undoing' | 'crashing' | 'destroying';

/** A copy that is to be taken of a sandbox. */
export interface Capture {
  /** Folder that the copy is made in, an absolute path on the file system of the store. It is made anew. */
  dir: string;
  /** With the memory it can be loaded as a snapshot can; without, it is a disk. */
  memory: boolean;
}

/** The context of the machine. Plain data: it is the journal. `secret` never leaves the host. */
export interface SandboxContext extends BaseContext {
  id: string;
  teamId: string;
  hostId: string;
  options: Required<Omit<SandboxOptions, 'metadata'>> & { metadata: Record<string, string> };
  createdAtMs: number;
  source: SandboxSource;
  kernel: KernelFiles;
  mac: string;
  machineId: string;
  /** From which the tokens are derived that the guest kit accepts, one for each run (`token.ts`). */
  secret: string;
  slot: Slot | null;
  vm: VmRef | null;
  diskPath: string | null;
  /** Counts the runs: a reply or command of an older one changes nothing. */
  execution: number;
  /** When `on_timeout` happens, in milliseconds since the epoch; null for never. */
  expiresAtMs: number | null;
  /** Why the operation under way failed; its rollback goes on, and the caller gets it when that is over. */
  failure: ErrorRecord | null;
  /** Why the last operation failed. */
  lastError: ErrorRecord | null;
  /** The copy that is being taken of the sandbox. Absent in old journals. */
  capture?: Capture | null;
  /** What the template says of programs that are run here. Absent in old journals. */
  defaults?: ExecDefaults;
  heading: Heading | null;
  /** How often the undo of a stranded sandbox was tried. */
  tries: number;
}

/** What the machine begins with. */
export type SandboxInput = Pick<
  SandboxContext,
  | 'id'
  | 'teamId'
  | 'hostId'
  | 'options'
  | 'createdAtMs'
  | 'source'
  | 'kernel'
  | 'mac'
  | 'machineId'
  | 'secret'
  | 'command'
  | 'defaults'
>;

/** The first context of a sandbox that is about to be made. */
export function firstContext(input: SandboxInput): SandboxContext {
  return {
    ...input,
    slot: null,
    vm: null,
    diskPath: null,
    execution: 1,
    expiresAtMs: null,
    failure: null,
    lastError: null,
    capture: null,
    heading: null,
    tries: 0,
  };
}

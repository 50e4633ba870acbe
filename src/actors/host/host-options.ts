import type { Paths } from '../../paths.ts';
import type { KernelFiles } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { SandboxTransition } from '../sandbox/protocol.ts';
import type { ExecOutput, Sandbox } from '../sandbox/sandbox.ts';
import type { Inspector } from '../system/inspect.ts';
import type { ActorPorts, EventSink } from '../system/ports.ts';
import type { Limits } from './capacity.ts';
import type { ImageTools } from './image-tools.ts';
import type { Adopted } from './sandboxes.ts';
import type { MeasureSpace, SpaceMarks } from './space.ts';
import type { Templates } from './templates.ts';

/** What a host is given to act through: whether there is room for a sandbox it knows itself. */
export type HostDrivers = Omit<SandboxDrivers, 'checkRoom'>;

export interface HostOptions {
  hostId: string;
  version: string;
  /** Folders of the host, all on the store. */
  folders: Pick<Paths, 'sandboxes' | 'captures' | 'uploads'>;
  drivers: HostDrivers;
  templates: Templates;
  images: ImageTools;
  /** Least size of a base template's image, in MiB; 0 to leave them as they are. */
  imageSizeMb: number;
  /** Largest upload, in MiB. */
  uploadMaxMb: number;
  kernel: KernelFiles;
  accelerator: 'kvm' | 'tcg';
  limits: Limits;
  /** Measures the free space on the store. */
  freeMb: MeasureSpace;
  space: SpaceMarks;
  mailboxSize: number;
  /** Time between two passes of the janitor, in milliseconds; 0 for the one at the start only. */
  janitorMs?: number;
  ports: ActorPorts;
  sink: EventSink<SandboxTransition>;
  output: ExecOutput;
  appeared(sandbox: Sandbox): void;
  vanished(sandbox: Sandbox): void;
  /** Takes what happens to the host and its sandboxes, for those who look on. */
  inspector?: Inspector;
  /** What `info` says may have changed. */
  settled(): void;
}

/** What a host found at its start. Numbers of sandboxes, of things on the machine, and of events. */
export interface Found extends Omit<Adopted, 'unreadable'> {
  /** Things that are not ours, and sandboxes whose journals cannot be read. They stay as they are. */
  foreign: number;
  /** Things of sandboxes that were never answered for, devices and slots that no ledger named, and the like: removed. */
  cleared: number;
}

export const NOTHING_FOUND: Readonly<Found> = {
  adopted: 0,
  resumedSteps: 0,
  undone: 0,
  stranded: 0,
  foreign: 0,
  cleared: 0,
  republished: 0,
};

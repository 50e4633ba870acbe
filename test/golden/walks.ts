import type { SandboxInput } from '../../src/actors/sandbox/context.ts';
import { type Move, SANDBOX_ID } from './play.ts';

/**
 * How a sandbox comes to each of its states, and what it has been through. The name is that of the state; a second way there
 * has a name of its own after `--`.
 */
export interface Walk {
  name: string;
  moves: readonly Move[];
  input: SandboxInput;
}

const DATA_DIR = '/var/lib/dormouse';
export const CREATED_AT_MS = Date.UTC(2026, 10, 24, 12);

const input: SandboxInput = {
  id: SANDBOX_ID,
  teamId: '00000000-0000-4000-8000-000000000001',
  hostId: 'h-goldenaa',
  createdAtMs: CREATED_AT_MS,
  options: {
    template: 'minimal',
    vcpus: 2,
    memory_mb: 512,
    disk_size_mb: 20_480,
    timeout_s: 3600,
    on_timeout: 'pause',
    auto_resume: true,
    metadata: { owner: 'Zoë', 'build.number': '42' },
  },
  source: { kind: 'image', imagePath: `${DATA_DIR}/store/templates/minimal/rootfs.ext4` },
  kernel: {
    kernelPath: `${DATA_DIR}/kernel/vmlinux`,
    initrdPath: `${DATA_DIR}/kernel/initramfs.cpio`,
  },
  mac: '02:64:6d:ab:cd:ef',
  machineId: '0123456789abcdef0123456789abcdef',
  secret: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
  command: { id: 'c-create-1', name: 'create', deadlineMs: CREATED_AT_MS + 120_000 },
};

const oks = (count: number): Move[] => Array<Move>(count).fill({ kind: 'ok' });
const fail = (code: string, released: readonly string[] = []): Move => ({ kind: 'fail', code, released });
const command = (name: string, body: object = {}): Move => ({ kind: 'command', name, body });
const later = (ms: number): Move => ({ kind: 'later', ms });

const running = oks(4);
const pinged = [...running, command('ping', { timeout_s: 7200 })];
const pause = command('pause');
const paused = [...pinged, pause, ...oks(7)];
const resume = command('resume');
const capture = command('capture', { dir: `${DATA_DIR}/store/captures/k-goldenaa`, memory: true });
const captureDisk = command('capture', { dir: `${DATA_DIR}/store/captures/k-goldenaa`, memory: false });
const resize = (disk_size_mb: number): Move => command('resize', { disk_size_mb });
const restart = command('restart');
const crashed = [...running, ...oks(1)];
const destroy = command('destroy');
/** Longer than a stranded sandbox is left alone for the first time. */
const again = later(1_000);

/** States in the order in which steps that succeed lead through them. */
function inOrder(
  outer: string,
  names: readonly string[],
  before: readonly Move[],
): Array<[string, readonly Move[]]> {
  return names.map((name, index) => [`${outer}.${name}`, [...before, ...oks(index)]]);
}

const walks: ReadonlyArray<[name: string, moves: readonly Move[], changes?: Partial<SandboxInput>]> = [
  ...inOrder('creating', ['disk', 'network', 'vm', 'ready'], []),
  [
    'creating.ready--saved-machine',
    oks(3),
    { source: { kind: 'snapshot', dir: `${DATA_DIR}/store/warm/minimal` } },
  ],
  ['undoing', [...oks(2), fail('VMM_FAILED')]],
  ['failed', [...oks(2), fail('VMM_FAILED'), ...oks(1)]],

  ['running', [...paused, resume, ...oks(6)]],
  ['running--new', running],
  ['running--without-limit', running, { options: { ...input.options, timeout_s: 0 } }],
  ['running--pause-failed', [...pinged, pause, ...oks(2), fail('VMM_FAILED'), ...oks(1)]],
  ['running--pause-rolled-back', [...pinged, pause, ...oks(4), fail('DEVICE_BUSY'), ...oks(1)]],
  ['running--restarted', [...crashed, ...oks(1), restart, ...oks(5)]],

  ['running--captured', [...pinged, capture, ...oks(6)]],
  ['running--capture-failed', [...pinged, capture, ...oks(3), fail('DISK_FULL'), ...oks(2)]],
  ...inOrder(
    'capturing',
    ['settling', 'freezing', 'saving', 'copying', 'thawing', 'settingClock'],
    [...pinged, capture],
  ),
  ['capturing.copying--disk', [...pinged, captureDisk, ...oks(2)]],
  ['capturing.thawing--failed', [...pinged, capture, ...oks(2), fail('VMM_FAILED')]],
  ['capturing.thawingAgain', [...pinged, capture, ...oks(4), fail('STEP_TIMEOUT')]],
  ['capturing.copyingPaused', [...paused, capture]],

  ...inOrder(
    'pausing',
    ['draining', 'freezing', 'snapshotting', 'stoppingVm', 'detachingDisk', 'committing', 'releasing'],
    [...pinged, pause],
  ),
  ['pausing.draining--expired', [...running, later(3_600_000)]],
  ['pausing.thawing', [...pinged, pause, ...oks(2), fail('VMM_FAILED')]],
  ['pausing.thawingAgain', [...pinged, pause, ...oks(2), fail('VMM_FAILED'), fail('STEP_TIMEOUT')]],
  ['pausing.restarting', [...pinged, pause, ...oks(5), fail('DISK_FULL')]],

  ['paused', paused],
  ['paused--larger', [...paused, resize(40_960)]],
  ['paused--not-smaller', [...paused, resize(10_240)]],
  ['paused--slot-kept', [...pinged, pause, ...oks(6), fail('NETWORK_FAILED')]],
  ['paused--resume-failed', [...paused, resume, ...oks(4), fail('GUEST_UNREACHABLE'), ...oks(1)]],
  ['paused--finished-later', [...pinged, pause, ...oks(3), fail('STEP_TIMEOUT'), again, ...oks(4)]],

  ...inOrder('resuming', ['cloning', 'disk', 'network', 'vm', 'ready', 'discarding'], [...paused, resume]),
  ['resuming.rollingBack', [...paused, resume, ...oks(3), fail('SNAPSHOT_INVALID')]],
  [
    'resuming.rollingBack--in-part',
    [...paused, resume, ...oks(3), fail('VMM_FAILED'), fail('DEVICE_BUSY', ['vmm', 'slot']), again],
  ],

  ['restarting.forgetting', [...paused, restart]],
  ...inOrder('restarting', ['stoppingVm', 'disk', 'network', 'vm', 'ready'], [...pinged, restart]),

  ['crashed.cleaning', crashed],
  ['crashed.resting', [...crashed, ...oks(1)]],
  ['crashed.resting--restart-failed', [...pinged, restart, ...oks(4), fail('GUEST_UNREACHABLE'), ...oks(1)]],

  ['stranded', [...pinged, pause, ...oks(3), fail('STEP_TIMEOUT')]],
  ['stranded--again', [...pinged, pause, ...oks(3), fail('STEP_TIMEOUT'), again, fail('STEP_TIMEOUT')]],
  [
    'stranded--rolling-back',
    [...paused, resume, ...oks(3), fail('VMM_FAILED'), fail('DEVICE_BUSY', ['vmm', 'slot'])],
  ],
  ['stranded--undoing', [...oks(3), fail('GUEST_UNREACHABLE'), fail('DEVICE_BUSY', ['vmm'])]],
  ['stranded--crashing', [...crashed, fail('NETWORK_FAILED')]],
  ['stranded--destroying', [...running, destroy, fail('DEVICE_BUSY', ['vmm', 'slot'])]],

  ['destroying', [...pinged, destroy]],
  ['destroying--paused', [...paused, destroy]],
  ['destroyed', [...paused, destroy, ...oks(1)]],
];

export const sandboxWalks: readonly Walk[] = walks.map(([name, moves, changes]) => ({
  name,
  moves,
  input: { ...input, ...changes },
}));

/** The state that a walk, or a file that was made by it, is named after. */
export const stateOf = (name: string): string => name.replace(/--.*$/, '');

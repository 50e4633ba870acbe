import { actorOptions } from '../../scripts/docs/actor-options.mjs';
import type { RegistryContext } from '../../src/actors/loop-registry/machine.ts';
import type { Look } from '../../src/actors/loop-registry/registry.ts';
import type { SandboxContext } from '../../src/actors/sandbox/context.ts';
import type { BaseContext } from '../../src/actors/system/actor-options.ts';
import { catalogue } from '../../src/errors/catalogue.ts';
import type { Subject } from './explore.ts';
import { SLOT, sandboxInput, VM } from './sandbox/support.ts';

/** The machines of Dormouse, and what is tried on each. Machine, steps and commands are those that the actors run. */
const sandbox = await actorOptions('sandbox');
const host = await actorOptions('host');
const loopRegistry = await actorOptions('loop-registry');

/** Every error there is: a guard that knows one is met with it, and nobody has to keep a list. */
const codes = Object.keys(catalogue);

/** Bodies of the commands that an actor takes; a command without an entry is tried with an empty one. */
function bodiesOf(
  commands: readonly string[],
  bodies: Record<string, readonly unknown[]>,
): Subject['commands'] {
  return Object.fromEntries(commands.map((name) => [name, bodies[name] ?? [{}]]));
}

const sandboxOutputs: Record<string, readonly unknown[]> = {
  makeDisk: [{ diskPath: '/host/disk' }],
  attachDisk: [{ diskPath: '/host/disk' }],
  detachDisk: [{ diskPath: null }],
  acquireSlot: [{ slot: SLOT }],
  releaseSlot: [{ slot: null }],
  launchVm: [{ vm: VM }],
  restoreVm: [{ vm: VM }],
  bootVm: [{ vm: VM }],
  relaunchVm: [{ vm: VM, diskPath: '/host/disk' }],
  stopVm: [{ vm: null }],
  watchVm: [{ reason: 'guest-panic', detail: 'panic' }],
  releaseAll: [{ vm: null, slot: null, diskPath: null }, {}],
};

export const sandboxSubject: Subject = {
  name: 'sandbox',
  ...sandbox,
  inputs: (['pause', 'destroy'] as const).flatMap((on_timeout) =>
    [0, 60].map((timeout_s) => sandboxInput({}, { on_timeout, timeout_s })),
  ),
  commands: bodiesOf(sandbox.commands, {
    ping: [{}, { timeout_s: 0 }, { timeout_s: 90 }],
    capture: [true, false].map((memory) => ({ dir: '/host/capture', memory })),
    resize: [512, 2048].map((disk_size_mb) => ({ disk_size_mb })),
  }),
  // `expired` is a timer's event; it is tried where the timer is armed.
  events: [
    { type: 'exec' },
    { type: 'spaceLow' },
    { type: 'diskLost', error: { code: 'DISK_LOST', detail: 'the kernel gave it up' } },
  ],
  outputs: (step) => sandboxOutputs[step] ?? [{}],
  codes,
  key(context) {
    const { options, heading, command, failure, capture } = context as SandboxContext;
    const { on_timeout, timeout_s } = options;
    return [on_timeout, timeout_s > 0, heading, command?.id, failure !== null, capture?.memory];
  },
  rest: ['running', 'paused', 'crashed.resting'],
  waiting: ['stranded'],
  watches: ['watchVm'],
  background: ['flushSnapshot'],
  always: ['destroy'],
  goals: { create: 'running', pause: 'paused', resume: 'running', restart: 'running', destroy: 'destroyed' },
};

export const hostSubject: Subject = {
  name: 'host',
  ...host,
  inputs: [{ hostId: 'h-test' }],
  commands: bodiesOf(host.commands, {}),
  events: [{ type: 'stop' }],
  outputs: () => [undefined],
  codes,
  key: (context) => (context as BaseContext).command?.id,
  rest: ['ready', 'draining'],
  waiting: [],
  watches: [],
  background: [],
  always: ['stop'],
  goals: {},
};

const image = '/images/a.img';
const loop = {
  device: '/dev/loop0',
  backingFile: image,
  fileId: '1:2',
  readOnly: true,
  autoclear: false,
  deleted: false,
};
const looks: readonly Look[] = [
  { devices: [], users: {} },
  { devices: [loop], users: {} },
  { devices: [loop], users: { [loop.device]: ['one'] } },
  { devices: [{ ...loop, autoclear: true }], users: {} },
];
const held = looks.filter(({ devices }) => devices.length > 0);
const holders = ['one', 'two'].map((holder) => ({ image, holder }));

export const loopRegistrySubject: Subject = {
  name: 'loop registry',
  ...loopRegistry,
  inputs: [undefined],
  commands: bodiesOf(loopRegistry.commands, { acquire: holders, release: holders }),
  events: [],
  outputs: (step) => (step === 'attach' ? held.map((look) => ({ look, device: loop.device })) : looks),
  codes,
  key(context) {
    const { loops, image, holder, command, error } = context as RegistryContext;
    return [loops, image, holder, command?.id, error !== null];
  },
  rest: ['ready'],
  waiting: [],
  watches: [],
  background: [],
  always: [],
  goals: {},
};

export const subjects = [sandboxSubject, hostSubject, loopRegistrySubject];

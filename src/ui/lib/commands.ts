import type { Call } from './call.ts';
import type { CreateOptions } from './types.ts';

/** The commands of a sandbox, as requests, and what a person must say to send one. */

/** A sandbox and its team. */
export interface Target {
  team: string;
  id: string;
}

/** Something that a command asks for. */
export interface Field {
  name: string;
  label: string;
  kind: 'text' | 'number' | 'flag';
  /** What stands there at first. */
  initial: string | number | boolean;
  /** Of a number. */
  min?: number;
  max?: number;
  /** Of a text. */
  pattern?: string;
}

export type Values = Record<string, string | number | boolean>;

export interface SandboxCommand {
  name: SandboxCommandName;
  label: string;
  summary: string;
  /** It takes something away that does not come back: a person confirms it. */
  isDangerous: boolean;
  fields: readonly Field[];
  call(target: Target, values?: Values): Call;
}

/** In the order in which they are shown. */
export const SANDBOX_COMMAND_NAMES = [
  'exec',
  'pause',
  'resume',
  'restart',
  'ping',
  'fork',
  'snapshot',
  'resize',
  'destroy',
] as const;
export type SandboxCommandName = (typeof SANDBOX_COMMAND_NAMES)[number];

export const NAME_PATTERN = '[a-z0-9][a-z0-9._\\-]{0,62}';

export const sandboxCommands: Readonly<Record<SandboxCommandName, SandboxCommand>> = {
  exec: {
    name: 'exec',
    label: 'Exec',
    summary: 'Runs a shell command in the guest.',
    isDangerous: false,
    fields: [{ name: 'cmd', label: 'Shell command', kind: 'text', initial: 'uname -a; uptime' }],
    call: (target, { cmd = '' } = {}) => posted('exec', target, { cmd }, 65),
  },
  pause: plain('pause', 'Pause', 'Saves memory and disk and stops the virtual machine.'),
  resume: plain('resume', 'Resume', 'Loads the memory; programs go on where they were.'),
  restart: {
    ...plain('restart', 'Restart', 'Boots anew on the same disk. What was in memory is lost.'),
    isDangerous: true,
  },
  ping: plain('ping', 'Ping', 'Extends the time until its timeout.', 5),
  fork: {
    name: 'fork',
    label: 'Fork',
    summary: 'Makes copies that go on from the same point.',
    isDangerous: false,
    fields: [{ name: 'count', label: 'Copies', kind: 'number', initial: 1, min: 1, max: 20 }],
    call: ({ team, id }, { count = 1 } = {}) => ({
      name: 'fork',
      method: 'POST',
      path: `/v1/sandboxes/${id}/fork`,
      body: { count },
      nats: {
        subject: 'dormouse.scheduler.fork',
        body: { team_id: team, sandbox_id: id, count },
        timeoutS: 185,
      },
    }),
  },
  snapshot: {
    name: 'snapshot',
    label: 'Snapshot',
    summary: 'Makes a template from it; the sandbox goes on as it was.',
    isDangerous: false,
    fields: [
      { name: 'name', label: 'Name', kind: 'text', initial: '', pattern: NAME_PATTERN },
      { name: 'memory', label: 'With its memory', kind: 'flag', initial: true },
    ],
    call: (target, { name = '', memory = true } = {}) => ({
      name: 'snapshot',
      method: 'POST',
      path: '/v1/snapshots',
      body: { sandbox_id: target.id, name, memory },
      nats: {
        subject: subjectOf(target, 'snapshot'),
        body: { name, memory, overwrite: false },
        timeoutS: 600,
      },
    }),
  },
  resize: {
    name: 'resize',
    label: 'Resize',
    summary: 'Makes the disk larger.',
    isDangerous: false,
    fields: [
      {
        name: 'disk_size_mb',
        label: 'Disk, MiB',
        kind: 'number',
        initial: 40_960,
        min: 64,
        max: 16_777_216,
      },
    ],
    call: (target, { disk_size_mb = 0 } = {}) => ({
      name: 'resize',
      method: 'PATCH',
      path: `/v1/sandboxes/${target.id}`,
      body: { disk_size_mb },
      nats: { subject: subjectOf(target, 'resize'), body: { disk_size_mb }, timeoutS: 5 },
    }),
  },
  destroy: {
    name: 'destroy',
    label: 'Destroy',
    summary: 'Removes the sandbox with its disk and memory.',
    isDangerous: true,
    fields: [],
    call: (target) => ({
      name: 'destroy',
      method: 'DELETE',
      path: `/v1/sandboxes/${target.id}`,
      nats: { subject: subjectOf(target, 'destroy'), body: {}, timeoutS: 120 },
    }),
  },
};

/** Makes a sandbox. What `options` leaves out is the template's. */
export function createCall(team: string, options: CreateOptions): Call {
  return {
    name: 'create',
    method: 'POST',
    path: '/v1/sandboxes',
    body: options,
    nats: { subject: 'dormouse.scheduler.create', body: { team_id: team, options }, timeoutS: 125 },
  };
}

/** Says what a sandbox is now. */
export function getCall(target: Target): Call {
  return {
    name: 'get',
    method: 'GET',
    path: `/v1/sandboxes/${target.id}`,
    nats: { subject: subjectOf(target, 'get'), body: {}, timeoutS: 5 },
  };
}

/** A command without a body. */
function plain(
  name: 'pause' | 'resume' | 'restart' | 'ping',
  label: string,
  summary: string,
  timeoutS = 120,
): SandboxCommand {
  return {
    name,
    label,
    summary,
    isDangerous: false,
    fields: [],
    call: (target) => posted(name, target, {}, timeoutS),
  };
}

function posted(name: SandboxCommandName, target: Target, body: object, timeoutS: number): Call {
  return {
    name,
    method: 'POST',
    path: `/v1/sandboxes/${target.id}/${name}`,
    body,
    nats: { subject: subjectOf(target, name), body, timeoutS },
  };
}

function subjectOf({ team, id }: Target, command: string): string {
  return `dormouse.sandbox.${team}.${id}.${command}`;
}

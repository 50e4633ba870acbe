import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import type { SandboxContext } from '../../../src/actors/sandbox/context.ts';
import type { SandboxDrivers } from '../../../src/actors/sandbox/drivers.ts';
import { GuestSessions } from '../../../src/actors/sandbox/guest-sessions.ts';
import { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { type ActorRecord, fileJournal, type Journal } from '../../../src/actors/system/journal.ts';
import { newCommandId, newSandboxId } from '../../../src/ids.ts';
import { sandboxPaths } from '../../../src/paths.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { gate } from '../../support/gate.ts';
import { quiet } from '../../support/quiet.ts';
import { SLOT, sandboxInput, VM } from '../sandbox/support.ts';

/**
 * Sandboxes on a clock that stands still until the test moves it. Their drivers do nothing; their journals are files, so an agent
 * that dies is one that is let go of, and the next one reads what it left.
 */

type Options = Partial<SandboxContext['options']>;

export async function sandboxWorld(t: Test) {
  const root = await mkdtemp(path.join(os.tmpdir(), 'dormouse-deadlines-'));
  const clock = fakeClock();
  const guest = { runs: 0, until: undefined as Promise<unknown> | undefined };
  const machine = { isThere: true, isFrozen: false, failsToFreeze: false };
  /** What a copy of a disk waits for. */
  const disk = { copied: undefined as Promise<unknown> | undefined };
  const nothing = async (): Promise<void> => {};
  const pathsOf = (id: string) => sandboxPaths({ sandboxes: root }, id);
  const drivers = {
    clock,
    sessions: new GuestSessions(),
    pathsOf,
    guestTimeoutMs: 1000,
    cloneFile: (_: string, to: string) => writeFile(to, ''),
    checkSpace: nothing,
    checkRoom: () => {},
    disk: {
      kind: 'reflink',
      create: nothing,
      clone: nothing,
      capture: async () => void (await disk.copied),
      grow: nothing,
      attach: async () => ({ path: '/disk' }),
      detach: nothing,
      remove: nothing,
      check: nothing,
      sync: nothing,
    },
    network: { kind: 'namespace', acquire: async () => SLOT, release: nothing },
    guest: {
      identify: nothing,
      growRoot: nothing,
      async exec(_endpoint: unknown, _request: unknown, signal: AbortSignal) {
        signal.throwIfAborted();
        guest.runs += 1;
        await guest.until;
        const empty = new Uint8Array();
        return {
          ...{ exitCode: 0, signal: null, timedOut: false, durationMs: 1 },
          ...{ stdout: empty, stderr: empty, stdoutTruncated: false, stderrTruncated: false },
        };
      },
    },
    vmm: {
      kind: 'qemu',
      start: async ({ sandboxId }: { sandboxId: string }) => ({ ...VM, sandboxId }),
      restore: async ({ sandboxId }: { sandboxId: string }) => ({ ...VM, sandboxId }),
      async freeze() {
        if (machine.failsToFreeze) throw new Error('it does not freeze');
        machine.isFrozen = true;
      },
      async thaw() {
        machine.isFrozen = false;
      },
      stateFiles: [],
      save: nothing,
      discardSave: nothing,
      find: async () => undefined,
      stop: nothing,
      status: async () => (machine.isThere ? (machine.isFrozen ? 'frozen' : 'running') : 'gone'),
      watch: () => () => {},
    },
    // Only what these sandboxes touch.
  } as unknown as SandboxDrivers;
  const open = new Set<Sandbox>();
  /** An agent takes the sandbox up: it is made, or goes on from its journal. */
  const start = async (id: string, options?: Options, journal?: Journal): Promise<Sandbox> => {
    const input = options && sandboxInput({ id, command: null }, options);
    const ports = { clock, log: quiet };
    const sandbox = await Sandbox.start(id, input, {
      drivers,
      ports,
      mailboxSize: 8,
      ...(journal && { journal }),
    });
    open.add(sandbox);
    return sandbox;
  };
  const create = async (options: Options, wrap?: (journal: Journal) => Journal): Promise<Sandbox> => {
    const id = newSandboxId();
    await mkdir(pathsOf(id).root);
    const journal = fileJournal(pathsOf(id).journal);
    const sandbox = await start(id, options, wrap ? wrap(journal) : journal);
    await reached(sandbox, 'running');
    return sandbox;
  };
  /** The agent dies, some time passes, and the next one takes the sandbox up. */
  const afterDeath = async (sandbox: Sandbox, downMs: number): Promise<Sandbox> => {
    open.delete(sandbox);
    await sandbox.actor.stop();
    clock.advance(downMs);
    const next = await start(sandbox.id);
    // A clock that stands still fires nothing, not even what is due at once.
    clock.advance(0);
    return next;
  };
  t.teardown(async () => {
    for (const sandbox of open) await sandbox.actor.stop();
    await rm(root, { recursive: true, force: true });
  });
  const context = (changes: Partial<CommandContext> = {}): CommandContext => ({
    commandId: newCommandId(),
    deadlineMs: clock.nowMs() + 300_000,
    signal: new AbortController().signal,
    ...changes,
  });
  return { root, clock, guest, machine, disk, create, start, afterDeath, context };
}

/** Waits until the sandbox is in the state; the runner's time limit ends it. */
export async function reached(sandbox: Sandbox, state: string): Promise<void> {
  while (sandbox.actor.state !== state) await turn();
}
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Resolves when the actor has dealt with all messages that there are, and those that they bring about. */
export async function idle({ actor }: Sandbox): Promise<void> {
  for (let round = 0; round < 4; round += 1) {
    await turn();
    await actor.tell({ type: 'nothing' });
  }
}

/** Holds the first write of a journal that `isIt` until it is let go. */
export function holding(isIt: (record: ActorRecord) => boolean) {
  const held = gate();
  const state = { isHeld: false };
  const wrap = (journal: Journal): Journal => ({
    load: () => journal.load(),
    async save(record, durable) {
      if (!state.isHeld && isIt(record)) {
        state.isHeld = true;
        await held.passed;
      }
      await journal.save(record, durable);
    },
  });
  const held_ = async (): Promise<void> => {
    while (!state.isHeld) await turn();
  };
  return { wrap, held: held_, release: held.open };
}

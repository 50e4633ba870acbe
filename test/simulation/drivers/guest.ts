import type { GuestDriver, GuestEndpoint, GuestExecResult } from '../../../src/drivers/guest/types.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import type { Machine } from '../world/machines.ts';
import type { World } from '../world/world.ts';

/** How often a guest that does not answer is asked again, in milliseconds. */
const RETRY_MS = 250;
/** How long a guest takes until it answers after it was loaded, in milliseconds. */
const WAKING_MS = 20;

/**
 * The driver of guest kits over the simulated machines. Programs are words: `write N` writes a number into memory and to the
 * disk, `read` tells both, `poweroff` ends the machine.
 */
export function simulatedGuest(world: World): GuestDriver {
  const { machines, clock } = world;
  const unreachable = (signal: AbortSignal): Error =>
    signal.reason instanceof DormouseError
      ? signal.reason
      : new DormouseError('GUEST_UNREACHABLE', 'The guest did not answer in time.');

  /** The machine behind the endpoint, once it runs and its kit answers. */
  const reach = async ({ address, token }: GuestEndpoint, signal: AbortSignal): Promise<Machine> => {
    for (;;) {
      if (signal.aborted) throw unreachable(signal);
      const machine = machines.at(address);
      if (machine?.state === 'running') {
        if (machines.memoryOf(machine).token !== token)
          throw new DormouseError('GUEST_REFUSED', 'The guest does not accept the token.');
        return machine;
      }
      await clock.sleep(RETRY_MS, signal).catch(() => {});
    }
  };
  const ask = async <T>(
    label: string,
    endpoint: GuestEndpoint,
    signal: AbortSignal,
    act: (machine: Machine) => T,
  ): Promise<T> => {
    const machine = await reach(endpoint, signal);
    if (label === 'identify') await clock.sleep(WAKING_MS, signal).catch(() => {});
    if (signal.aborted) throw unreachable(signal);
    return await world.effect(
      `guest ${label}`,
      () => {
        if (machine.state !== 'running' || !machines.find(machine))
          throw new DormouseError('GUEST_UNREACHABLE', 'The connection to the guest broke.');
        return act(machine);
      },
      { error: () => new DormouseError('GUEST_UNREACHABLE', 'The connection to the guest broke.') },
    );
  };
  /** As the real driver does: again when the connection breaks. */
  const patiently = async <T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (signal.aborted || !(error instanceof DormouseError) || error.code !== 'GUEST_UNREACHABLE')
          throw error;
        await clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
  };
  const hello = { kitVersion: 'simulated', uptimeMs: 1 };

  return {
    waitReady: (endpoint, signal) => patiently(signal, () => ask('hello', endpoint, signal, () => hello)),
    identify: (endpoint, identity, signal) =>
      patiently(signal, () =>
        ask('identify', endpoint, signal, (machine) => {
          machines.change(machine, { token: identity.nextToken });
          return hello;
        }),
      ),
    growRoot: (endpoint, _bytes, signal) =>
      ask('grow', endpoint, signal, (machine) => machines.change(machine, {})),
    async exec(endpoint, { execId, argv }, signal) {
      const [word, argument = '0'] = argv;
      const broken = (): Error =>
        signal.reason instanceof DormouseError
          ? signal.reason
          : new DormouseError('EXEC_INTERRUPTED', 'The connection to the guest broke.');
      try {
        const stdout = await ask(`exec ${word}`, endpoint, signal, (machine) => {
          if (word === 'poweroff') {
            machines.end(machine, { reason: 'guest-shutdown', detail: 'the guest powered off' });
            return '';
          }
          const { execs, written } = machines.memoryOf(machine);
          const known = execs[execId];
          if (known !== undefined) return known;
          if (word === 'write') {
            machines.writeDisk(machine, Number(argument));
            world.wrote(machine.sandboxId, Number(argument));
          }
          const memory = word === 'write' ? Number(argument) : written;
          const result = `${memory} ${machines.readDisk(machine)}`;
          machines.change(machine, { written: memory, execs: { ...execs, [execId]: result } });
          return result;
        });
        return resultOf(stdout);
      } catch (error) {
        if (signal.aborted || (error instanceof DormouseError && error.code === 'GUEST_UNREACHABLE'))
          throw broken();
        throw error;
      }
    },
    kill: async () => {},
    readFile: async () => new Uint8Array(),
    writeFile: async () => {},
  };
}

function resultOf(stdout: string): GuestExecResult {
  return {
    exitCode: 0,
    signal: null,
    timedOut: false,
    durationMs: 1,
    stdout: Buffer.from(stdout),
    stderr: new Uint8Array(),
    stdoutTruncated: false,
    stderrTruncated: false,
  };
}

import t from 'tap';
import { DiskWatch } from '../../../src/actors/host/disk-watch.ts';
import type { Sandbox } from '../../../src/actors/sandbox/sandbox.ts';
import type { DiskDriver } from '../../../src/drivers/disk/types.ts';
import { DormouseError } from '../../../src/errors/index.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet as log } from '../../support/quiet.ts';

const marks = { lowMb: 200, criticalMb: 100 };

/** A watch over sandboxes that only note what they are told. */
function watching(states: Record<string, string>, lost: Map<string, DormouseError> = new Map()) {
  const told: string[] = [];
  const clock = fakeClock();
  const world = { freeMb: 1000 };
  const sandboxes = Object.keys(states).map((id) => ({
    id,
    actor: {
      get state() {
        return states[id];
      },
      tell: async ({ type }: { type: string }) => void told.push(`${id} ${type}`),
    },
  })) as unknown as Sandbox[];
  const watch = new DiskWatch({
    disk: { lost: async () => lost } as unknown as DiskDriver,
    sandboxes: () => sandboxes,
    freeMb: async () => world.freeMb,
    marks,
    clock,
    log,
  });
  return { watch, told, clock, world, states };
}

t.test('below the critical mark what runs is told, once in a while', async (t) => {
  const { watch, told, clock, world, states } = watching({ a: 'running', b: 'paused', c: 'running' });
  await watch.lookAtSpace();
  t.same(told, [], 'there is room');
  world.freeMb = 100;
  await watch.lookAtSpace();
  t.same(told, [], 'at the mark is not below it');
  world.freeMb = 99;
  await watch.lookAtSpace();
  t.same(told.splice(0), ['a spaceLow', 'c spaceLow']);
  states.a = 'paused';
  await watch.lookAtSpace();
  t.same(told, [], 'one that could not be paused is left alone for a while');
  clock.advance(10_000);
  await watch.lookAtSpace();
  t.same(told.splice(0), ['c spaceLow'], 'and tried again');
  world.freeMb = 1000;
  await watch.lookAtSpace();
  world.freeMb = 0;
  await watch.lookAtSpace();
  t.same(told, ['c spaceLow'], 'when it is low anew, at once');
});

t.test('a sandbox whose disk is lost is told', async (t) => {
  const error = new DormouseError('DISK_LOST', 'gone');
  const { watch, told } = watching(
    { a: 'running', b: 'running', c: 'paused' },
    new Map([
      ['a', error],
      ['c', error],
    ]),
  );
  await watch.lookForLost();
  t.same(told, ['a diskLost']);
});

t.test('it looks again and again until it is stopped, also after an error', async (t) => {
  const { watch, told, clock, world } = watching({ a: 'running' });
  watch.start();
  for (let round = 0; round < 5; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(500);
  }
  t.same(told, []);
  Object.defineProperty(world, 'freeMb', {
    get: () => {
      throw new Error('the file system is away');
    },
    configurable: true,
  });
  clock.advance(500);
  await new Promise((resolve) => setImmediate(resolve));
  Object.defineProperty(world, 'freeMb', { value: 1 });
  for (let round = 0; round < 5 && told.length === 0; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(500);
  }
  t.same(told, ['a spaceLow']);
  await watch.stop();
});

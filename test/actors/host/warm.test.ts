import t from 'tap';
import type { Template } from '../../../src/actors/host/template.ts';
import { WarmMaker, type WarmMakerOptions } from '../../../src/actors/host/warm.ts';
import type { CommandContext } from '../../../src/actors/system/command.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { quiet } from '../../support/quiet.ts';
import { templateFile } from './template-folders.ts';

t.test('a stop ends the machine that is being made, and begins no other', async (t) => {
  const begun = Promise.withResolvers<void>();
  const discarded: unknown[] = [];
  let creates = 0;
  const sandbox = {
    actor: {
      outcome: ({ signal }: CommandContext) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          begun.resolve();
        }),
    },
  };
  const maker = new WarmMaker({
    templates: { hasWarm: () => false },
    sandboxes: {
      create: async () => {
        creates += 1;
        return sandbox;
      },
      discard: async (which: unknown) => void discarded.push(which),
    },
    drivers: {},
    ports: { clock: fakeClock(), log: quiet },
    hostId: 'h-test',
    kernel: { kernelPath: '/k', initrdPath: '/i' },
    // What is used of the host here.
  } as unknown as WarmMakerOptions);
  const template = { file: templateFile('python'), warm: new Map(), sizeMb: 64, imagePath: '/i' };
  const make = (memoryMb: number) => maker.make(template as unknown as Template, { vcpus: 1, memoryMb });
  const making = t.rejects(make(512), { code: 'HOST_DRAINING' });
  const waiting = t.rejects(make(1024), { code: 'HOST_DRAINING' });
  await begun.promise;
  await maker.stop();
  await Promise.all([making, waiting]);
  t.same(discarded, [sandbox], 'nothing is left of it');
  t.equal(creates, 1);
});

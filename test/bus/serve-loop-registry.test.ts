import t from 'tap';
import { loopRegistryCommands } from '../../src/actors/loop-registry/index.ts';
import { serveLoopRegistry } from '../../src/bus/serve-loop-registry.ts';
import { loopRegistrySubject } from '../../src/bus/subjects.ts';
import { imageFolder, startRegistry } from '../actors/loop-registry/support.ts';
import { connectTestBus } from '../support/bus.ts';
import { startTestNats } from '../support/nats.ts';

t.test('the loop registry of a host over the bus', async (t) => {
  const server = await startTestNats(t);
  const caller = await connectTestBus(t, server.url);
  const actor = await connectTestBus(t, server.url);
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const registry = await startRegistry(t, images.folder);
  const served = await serveLoopRegistry(actor, registry);
  const { acquire, release, list } = loopRegistryCommands;
  const subject = (command: { name: string }): string => `${loopRegistrySubject('h-test')}.${command.name}`;

  const entry = await caller.request(subject(acquire), acquire, { image, holder: 'one' });
  t.match(await images.loops(), [{ device: entry.device, file: image, readOnly: true }]);
  t.same(await caller.request(subject(list), list, {}), { loops: [entry] });
  await t.rejects(caller.request(subject(release), release, { image, holder: 'two' }), {
    code: 'LOOP_NOT_HELD',
  });
  const request = { image, holder: 'one' };
  const commandId = 'c-release';
  const reply = { detached: true, holders: [] };
  t.same(await caller.request(subject(release), release, request, { commandId }), reply);
  t.same(
    await caller.request(subject(release), release, request, { commandId }),
    reply,
    'a command that arrives twice is done once',
  );
  t.same(await images.loops(), []);

  await served.close();
  await t.rejects(caller.request(subject(list), list, {}), { code: 'HOST_UNREACHABLE' });
});

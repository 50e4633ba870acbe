import t from 'tap';
import { imageName } from '../../../src/actors/loop-registry/inspect.ts';
import type { Inspected } from '../../../src/actors/system/inspect.ts';
import { Inspection } from '../../../src/actors/system/inspection.ts';
import { problemsOf } from '../../../src/bus/schema.ts';
import { by, imageFolder, startRegistry } from './support.ts';

t.test('what happens to a loop registry is told without where things are on the host', async (t) => {
  const images = await imageFolder(t);
  const image = await images.image('a.img');
  const told: Array<{ actor: Inspected; inspection: Inspection }> = [];
  const registry = await startRegistry(t, images.folder, {
    inspector: { happened: (actor, look) => void told.push({ actor, inspection: look() }) },
  });
  t.same(
    told.map(({ inspection }) => inspection.to),
    ['rebuilding', 'tidying', 'ready'],
  );
  told.length = 0;
  const { device } = await registry.acquire(image, 'one', by());
  const [attaching, ready] = told;
  t.same(attaching?.actor, { kind: 'loop-registry', hostId: 'h-test' });
  t.match(attaching?.inspection, {
    ...{ kind: 'loop-registry', id: 'h-test', host_id: 'h-test', team_id: null, execution: null },
    ...{ from: 'ready', to: 'attaching', cause: 'acquire', allowed: [] },
    moment: { context: { image: 'images/a.img', holder: 'one', loops: [], command: { name: 'acquire' } } },
  });
  t.match(ready?.inspection, {
    ...{ from: 'attaching', to: 'ready', cause: 'step.done', step: 'attach' },
    allowed: ['acquire', 'release', 'leaks'],
    moment: {
      context: {
        loops: [{ device, image: 'images/a.img', holders: ['one'] }],
        ...{ image: null, holder: null, command: null, error: null },
      },
    },
  });
  const now = registry.inspection();
  t.same(now, ready?.inspection, 'the present is the last of what was told');
  for (const { inspection } of told) t.same(problemsOf(Inspection, inspection), []);
  t.notMatch(JSON.stringify(told), images.folder);
  await registry.release(image, 'one', by());
});

t.test('the name of an image', async (t) => {
  t.equal(imageName('/data/store/templates/t-abc/rootfs.ext4'), 't-abc/rootfs.ext4');
});

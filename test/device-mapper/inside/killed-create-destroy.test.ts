import t from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { atRest } from '../../support/host-process.ts';
import { die, type Place } from '../../support/kill-places.ts';
import { hostLab, SHAPE } from '../host-lab.ts';
import { devicePlaces } from '../killed.ts';

/** The host is killed wherever a create and a destroy have changed a device. */

const lab = await hostLab(t);

t.test('killed while it creates and destroys', async (t) => {
  const made: string[] = [];
  const create = async (): Promise<void> => {
    const id = newSandboxId();
    made.push(id);
    await lab.host().ask('create', { id, ...SHAPE });
    await lab.host().ask('exec', { id, cmd: 'echo kept > /written; sync' });
  };
  const destroy = (): Promise<unknown> => lab.host().command(made.at(-1) ?? '', 'destroy');
  const creates = await devicePlaces(t, lab, 'create', create);
  const destroys = await devicePlaces(t, lab, 'destroy', destroy);
  const killDestroy = async (place: Place): Promise<void> => {
    const id = made.at(-1) ?? '';
    await die(lab, place, destroy);
    await lab.host().until(id, (after) => after === null);
    t.same(
      await lab.disagreements(),
      [],
      `destroy, ${place.point} ${place.nth}: all agree, and nothing is left`,
    );
  };
  for (const place of creates) {
    await die(lab, place, create);
    const id = made.at(-1) ?? '';
    const view = await lab.host().until(id, atRest);
    const where = `create, ${place.point} ${place.nth}`;
    t.same(await lab.disagreements(), [], `${where}: all agree`);
    t.match(view?.state ?? 'gone', /^(running|gone)$/, `${where}: ${view?.state ?? 'gone'}`);
    const next = view ? destroys.shift() : undefined;
    if (next) await killDestroy(next);
    else if (view) await destroy();
  }
  // A create that was interrupted may have been undone; then there was nothing to destroy.
  for (const place of destroys) {
    await create();
    await killDestroy(place);
  }
});

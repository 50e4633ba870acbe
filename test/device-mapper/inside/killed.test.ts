import t, { type Test } from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { atRest } from '../../support/host-process.ts';
import { die, type Place, placesOf, reportPlaces } from '../../support/kill-places.ts';
import { hostLab, SHAPE } from '../host-lab.ts';

/**
 * The host's process is killed at every point of every operation: when the effect of a step is there and nobody has noted it
 * yet, and after every command that changes a device. The one that is started next must bring the sandbox to rest, and the
 * ledgers, the registry, dmsetup and losetup must agree.
 *
 * The points are found by watching each operation once, so an operation that gets another step is covered by itself.
 */

const lab = await hostLab(t);

/** Whether something was done at the point. Looking does nothing, and the host looks at its devices by itself as well. */
const changes = (point: string): boolean =>
  !point.endsWith(' begins') && !/^dmsetup (status|info) done$/.test(point);

/** Checks that all is well with the sandbox, and brings it to that state. */
async function settle(t: Test, id: string, where: string, next?: 'running' | 'paused'): Promise<void> {
  const view = await lab.host().until(id, atRest);
  t.same(await lab.disagreements(), [], `${where}: all agree`);
  if (view?.state === 'running') t.equal(await lab.written(id), 'kept', `${where}: running, with its disk`);
  else t.match(view?.state ?? 'gone', /^(paused|crashed|gone)$/, `${where}: ${view?.state ?? 'gone'}`);
  if (view?.state === 'crashed' && next) {
    await lab.host().command(id, 'restart');
    t.equal(await lab.written(id), 'kept', `${where}: the disk of the crashed machine is kept`);
  }
  const now = await lab.host().view(id);
  if (next === 'paused' && now?.state === 'running') await lab.host().command(id, 'pause');
  if (next === 'running' && now?.state === 'paused') {
    await lab.host().command(id, 'resume');
    t.equal(await lab.written(id), 'kept', `${where}: paused, and it can be resumed`);
  }
}

t.test('killed while it pauses and resumes', async (t) => {
  const id = await lab.sandbox(t);
  const pause = (): Promise<unknown> => lab.host().command(id, 'pause');
  const resume = (): Promise<unknown> => lab.host().command(id, 'resume');
  const places = { pause: await placesOf(lab, pause, changes), resume: await placesOf(lab, resume, changes) };
  report(t, 'pause', places.pause);
  report(t, 'resume', places.resume);
  // In turns, since what follows a pause is mostly a resume.
  for (let index = 0; index < Math.max(places.pause.length, places.resume.length); index += 1) {
    const [first, second] = [places.pause[index], places.resume[index]];
    if (first) {
      await die(lab, first, pause);
      await settle(t, id, `pause, ${first.point} ${first.nth}`, second ? 'paused' : 'running');
    }
    if (second) {
      await die(lab, second, resume);
      await settle(t, id, `resume, ${second.point} ${second.nth}`, 'running');
    }
  }
});

t.test('killed while it creates and destroys', async (t) => {
  const made: string[] = [];
  const create = async (): Promise<void> => {
    const id = newSandboxId();
    made.push(id);
    await lab.host().ask('create', { id, ...SHAPE });
    await lab.host().ask('exec', { id, cmd: 'echo kept > /written; sync' });
  };
  const destroy = (): Promise<unknown> => lab.host().command(made.at(-1) ?? '', 'destroy');
  const places = {
    create: await placesOf(lab, create, changes),
    destroy: await placesOf(lab, destroy, changes),
  };
  report(t, 'create', places.create);
  report(t, 'destroy', places.destroy);
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
  for (const place of places.create) {
    await die(lab, place, create);
    const id = made.at(-1) ?? '';
    const view = await lab.host().until(id, atRest);
    const where = `create, ${place.point} ${place.nth}`;
    t.same(await lab.disagreements(), [], `${where}: all agree`);
    t.match(view?.state ?? 'gone', /^(running|gone)$/, `${where}: ${view?.state ?? 'gone'}`);
    const next = view ? places.destroy.shift() : undefined;
    if (next) await killDestroy(next);
    else if (view) await destroy();
  }
  // A create that was interrupted may have been undone; then there was nothing to destroy.
  for (const place of places.destroy) {
    await create();
    await killDestroy(place);
  }
});

function report(t: Test, operation: string, places: readonly Place[]): void {
  t.ok(places.length >= 5, `${operation} has ${places.length} places`);
  reportPlaces(t, operation, places);
}

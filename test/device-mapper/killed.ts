import type { Test } from 'tap';
import { atRest } from '../support/host-process.ts';
import { type Place, placesOf, reportPlaces } from '../support/kill-places.ts';
import { changesSomething, type HostLab } from './host-lab.ts';

/**
 * The host's process is killed after every command that changes a device, and when the step that these belong to has had its effect
 * and nobody has noted it yet. The one that is started next must bring the sandbox to rest, and the ledgers, the registry,
 * dmsetup and losetup must agree. At all other places of an operation it is killed outside (`e2e/faults/killed.test.ts`), where a
 * kill takes a tenth of the time.
 *
 * The places are found by watching each operation once, so an operation that gets another device is covered by itself.
 */

/** Commands on devices, and the end of the process that holds them open. */
const isOfDevices = (place: Place | undefined): boolean =>
  /^(dmsetup|losetup) |^monitor is gone$/.test(place?.point ?? '');

/** The places of an operation at which its devices have just changed. */
export async function devicePlaces(
  t: Test,
  lab: HostLab,
  operation: string,
  run: () => Promise<unknown>,
): Promise<Place[]> {
  const all = await placesOf(lab, run, changesSomething);
  const places = all.filter((place, index) => isOfDevices(place) || isOfDevices(all[index - 1]));
  t.ok(places.length >= 5, `${operation} has ${places.length} places, of ${all.length}`);
  reportPlaces(t, operation, places);
  return places;
}

/** Checks that all is well with the sandbox, and brings it to that state. */
export async function settle(
  t: Test,
  lab: HostLab,
  id: string,
  where: string,
  next: 'running' | 'paused',
): Promise<void> {
  const view = await lab.host().until(id, atRest);
  t.same(await lab.disagreements(), [], `${where}: all agree`);
  if (view?.state === 'running') t.equal(await lab.written(id), 'kept', `${where}: running, with its disk`);
  else t.match(view?.state ?? 'gone', /^(paused|crashed|gone)$/, `${where}: ${view?.state ?? 'gone'}`);
  if (view?.state === 'crashed') {
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

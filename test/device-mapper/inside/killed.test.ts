import t, { type Test } from 'tap';
import { newSandboxId } from '../../../src/ids.ts';
import { atRest } from '../../support/host-process.ts';
import { hostLab, SHAPE } from '../host-lab.ts';

/**
 * The host's process is killed at every point of every operation: when the effect of a step is there and nobody has noted it
 * yet, and after every command that changes a device. The one that is started next must bring the sandbox to rest, and the
 * ledgers, the registry, dmsetup and losetup must agree.
 *
 * The points are found by watching each operation once, so an operation that gets another step is covered by itself.
 */

type Operation = 'create' | 'pause' | 'resume' | 'destroy';

const lab = await hostLab(t);

/** How long the host may go on after the operation before the place counts as missed, in milliseconds. */
const PASSED_MS = 3_000;

/** A point, and the how-manieth time it is passed in the operation. */
interface Place {
  point: string;
  nth: number;
}

/** Whether something was done at the point. Looking does nothing, and the host looks at its devices by itself as well. */
const changes = (point: string): boolean => !point.endsWith(' begins') && point !== 'dmsetup status done';

/** The places that an operation passes, in order: those at which something was done. */
async function placesOf(run: () => Promise<unknown>): Promise<Place[]> {
  await lab.disarm();
  await run();
  const counts = new Map<string, number>();
  return (await lab.host().ask<string[]>('passed')).filter(changes).map((point) => {
    counts.set(point, (counts.get(point) ?? 0) + 1);
    return { point, nth: counts.get(point) ?? 0 };
  });
}

/** Lets the host die at the place while it carries out the operation, and starts another one. */
async function die(place: Place, run: () => Promise<unknown>): Promise<void> {
  await lab.arm({ ...place, action: 'kill' });
  await Promise.race([lab.host().died(), run().catch(() => {})]);
  // A place that this time came before the operation, such as the end of a write in the background, is not passed again.
  if (!(await lab.host().diesWithin(PASSED_MS))) await lab.host().kill();
  await lab.restart();
}

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
  const places = { pause: await placesOf(pause), resume: await placesOf(resume) };
  report(t, 'pause', places.pause);
  report(t, 'resume', places.resume);
  // In turns, since what follows a pause is mostly a resume.
  for (let index = 0; index < Math.max(places.pause.length, places.resume.length); index += 1) {
    const [first, second] = [places.pause[index], places.resume[index]];
    if (first) {
      await die(first, pause);
      await settle(t, id, `pause, ${first.point} ${first.nth}`, second ? 'paused' : 'running');
    }
    if (second) {
      await die(second, resume);
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
  const places = { create: await placesOf(create), destroy: await placesOf(destroy) };
  report(t, 'create', places.create);
  report(t, 'destroy', places.destroy);
  for (const place of places.create) {
    await die(place, create);
    const id = made.at(-1) ?? '';
    const view = await lab.host().until(id, atRest);
    const where = `create, ${place.point} ${place.nth}`;
    t.same(await lab.disagreements(), [], `${where}: all agree`);
    t.match(view?.state ?? 'gone', /^(running|gone)$/, `${where}: ${view?.state ?? 'gone'}`);
    const next = places.destroy.shift();
    if (view && next) {
      await die(next, destroy);
      await lab.host().until(id, (after) => after === null);
      t.same(
        await lab.disagreements(),
        [],
        `destroy, ${next.point} ${next.nth}: all agree, and nothing is left`,
      );
    } else if (view) await destroy();
  }
  t.same(places.destroy, [], 'destroy was killed at all its places');
});

function report(t: Test, operation: Operation, places: readonly Place[]): void {
  t.ok(places.length >= 5, `${operation} has ${places.length} places`);
  t.comment(`${operation}: ${places.map(({ point }) => point.replace(/ done$/, '')).join(', ')}`);
}

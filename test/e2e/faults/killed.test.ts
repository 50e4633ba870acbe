import t, { type Test } from 'tap';
import { atRest } from '../../support/host-process.ts';
import { die, type Place, placesOf, reportPlaces } from '../../support/kill-places.ts';
import { DISK_ONLY, EMPTY, MarkedGuest, WHOLE } from '../../support/marked-guest.ts';
import { SHAPE, smallHost } from './support.ts';

/**
 * The host's process is killed at every place of every operation: when a step is noted and has not begun, and when its effect
 * is there and not noted. The host that is started next must bring the operation to the end that it has without a fault:
 * state, file and memory of the guest. The machine and the ledgers must agree.
 *
 * Nothing here is a list: operations are a create and every command that a sandbox takes in a state of rest, and their places
 * are found by watching each once. A command or a step that is added later is covered by itself.
 */

t.setTimeout(900_000);

const lab = await smallHost(t);
const guest = new MarkedGuest(lab, SHAPE);
await lab.host().ask('warm', { ...SHAPE });

/** How long a place in the background, such as the end of a write, may take to be passed, in milliseconds. */
const MISSED_AFTER_MS = 20_000;

/** A saved machine is not used for a disk that is smaller than its own. */
const COLD = { ...SHAPE, disk_size_mb: 1024 };

interface Operation {
  name: string;
  /** Brings everything to where the operation begins. */
  prepare(): Promise<void>;
  run(): Promise<unknown>;
}

const gone = (): Promise<void> => guest.gone();
const states: Record<string, () => Promise<void>> = {
  running: () => guest.running(),
  paused: () => guest.paused(),
  crashed: () => guest.crashed(),
};
const operations: Operation[] = [
  { name: 'create, cold', prepare: gone, run: () => guest.create(COLD) },
  { name: 'create', prepare: gone, run: () => guest.create(SHAPE) },
];
for (const [state, prepare] of Object.entries(states)) {
  await prepare();
  for (const command of (await guest.view())?.allowed ?? [])
    operations.push({ name: `${command} when ${state}`, prepare, run: () => guest.command(command) });
}
/** Beside the machine of the sandbox: it passes no step, and takes arguments. */
const NOT_WATCHED = /^exec /;

/** Whether an operation boots the guest, which takes seconds. */
const boots = (places: readonly Place[]): boolean => places.some(({ point }) => point === 'bootVm begins');
const booted = new Set<string>();
/** Whether the place was not tried yet with the same command in another state. */
function isNew(name: string, { point, nth }: Place): boolean {
  const key = `${name.split(' when ')[0]}, ${point} ${nth}`;
  return !booted.has(key) && booted.add(key) !== undefined;
}

/** How an operation ends: the state, and what is in the guest then, or when it is resumed. */
async function ending(): Promise<string> {
  const view = await lab.host().until(guest.id, atRest);
  if (view?.state === 'paused') await guest.command('resume');
  return view ? `${view.state} with "${view.state === 'crashed' ? EMPTY : await guest.content()}"` : 'gone';
}

/** What must not be lost: how some of the operations end. The ends of all others are taken as they come without a fault. */
const ENDS: Record<string, string> = {
  create: `running with "${EMPTY}"`,
  'pause when running': `paused with "${WHOLE}"`,
  'resume when paused': `running with "${WHOLE}"`,
  'restart when running': `running with "${DISK_ONLY}"`,
  'fork when running': `running with "${WHOLE}"`,
  'fork when paused': `paused with "${WHOLE}"`,
  'snapshot when running': `running with "${WHOLE}"`,
  'destroy when paused': 'gone',
};
const seen: Record<string, string> = {};
const tried: string[] = [];
const total = { tried: 0, found: 0 };

for (const operation of operations.filter(({ name }) => !NOT_WATCHED.test(name))) {
  const { name, prepare, run } = operation;
  t.test(`killed in the middle of: ${name}`, async (t) => {
    await prepare();
    const all = await placesOf(lab, run);
    const end = await ending();
    seen[name] = end;
    reportPlaces(t, name, all);
    const places = boots(all) ? all.filter((place) => isNew(name, place)) : all;
    let died = 0;
    for (const place of places) if (await survives(t, operation, place, end)) died += 1;
    t.equal(died, places.length, `the host died at all of ${places.length} places; ${end}`);
    if (places.length > 0) tried.push(`${name} ${died}`);
    total.tried += died;
    total.found += places.length;
  });
}

/** Lets the host die at the place and checks what comes of it. Says whether it died there. */
async function survives(
  t: Test,
  { name, prepare, run }: Operation,
  place: Place,
  end: string,
): Promise<boolean> {
  const where = `${name}, ${place.point} ${place.nth}`;
  await prepare();
  const died = await die(lab, place, run, MISSED_AFTER_MS);
  await lab.host().until(guest.id, atRest);
  await guest.throwCopiesAway();
  t.same(await lab.disagreements(), [], `${where}: all agree`);
  t.equal(await ending(), end, `${where}: ${end}`);
  return died;
}

t.test('all places were tried, and the ends are the right ones', async (t) => {
  t.equal(total.tried, total.found);
  t.match(seen, ENDS);
  t.ok(total.found >= 60, `${total.found} places`);
  t.comment(`crash points tried: ${total.tried} of ${total.found} (${tried.join('; ')})`);
});

import { parseArgs } from 'node:util';
import { DEFAULT_TEAM_ID } from '../../src/ids.ts';
import { quantile } from '../lifecycle/statistics.ts';
import { WAYS, type Way, walk } from './walk.ts';

const HELP = `Usage: npm run bench:inspect -- [options]

Measures what it costs that actors can be looked at: how many transitions an actor makes in a
second of processor time, in memory and without a bus, when there is no inspector, when there is
one and nobody looks, and when somebody does. The ways take turns, so that what the machine does
meanwhile hits all of them.

  --rounds N         rounds of all ways (default 15)
  --transitions N    transitions of each way in a round (default 4000)
  --help             print this`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    transitions: { type: 'string', default: '4000' },
    help: { type: 'boolean', default: false },
  },
});

function whole(name: 'rounds' | 'transitions'): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1)
    throw new RangeError(`--${name} takes a whole number of at least 1, not "${values[name]}"`);
  return value;
}

async function measure(): Promise<void> {
  const [rounds, transitions] = [whole('rounds'), whole('transitions')];
  const times = Object.fromEntries(WAYS.map((way) => [way, [] as number[]])) as Record<Way, number[]>;
  // The first round is that of the compiler.
  for (let round = 0; round <= rounds; round += 1)
    for (const way of WAYS) {
      const { microseconds, published } = await walk(way, DEFAULT_TEAM_ID, transitions);
      if (published > 0 !== (way === 'somebody looks'))
        throw new Error(`${way}: ${published} inspections were published`);
      if (round > 0) times[way].push(microseconds);
    }
  console.log(`${rounds} rounds of ${transitions} transitions, medians\n`);
  console.log(row('', 'each', 'a second', 'ratio'));
  for (const way of WAYS) {
    const each = quantile(times[way], 0.5);
    const ratios = times[way].map((time, round) => time / (times['no inspector'][round] ?? Number.NaN));
    console.log(row(way, `${each.toFixed(1)} µs`, (1e6 / each).toFixed(0), quantile(ratios, 0.5).toFixed(2)));
  }
  console.log(
    '\neach: processor time of a transition; ratio: beside that of the same round without an inspector',
  );
}

function row(way: string, ...cells: string[]): string {
  return way.padEnd(16) + cells.map((cell) => cell.padStart(12)).join('');
}

if (values.help) console.log(HELP);
else await measure();

/** A process that runs the private NATS server in the folder given, prints its address and waits to be killed. */
import { systemClock } from '../../src/clock.ts';
import { startNats } from '../../src/embedded/nats.ts';
import { silentLog } from './nats.ts';

const [dir = ''] = process.argv.slice(2);
const nats = await startNats({ dir, clock: systemClock, log: silentLog });
process.stdout.write(`${nats.url}\n`);

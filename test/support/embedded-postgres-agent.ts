/** A process that runs the private PostgreSQL cluster in the folder given, prints its address and waits to be killed. */
import { systemClock } from '../../src/clock.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { silentLog } from './nats.ts';

const [dir = ''] = process.argv.slice(2);
const server = await startPostgres({ dir, clock: systemClock, log: silentLog });
process.stdout.write(`${server.url}\n`);

import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { MAIN, startNode, temporaryFolder } from '../cli/support.ts';
import { addHost, startWorld } from './support.ts';

/** The edge is a process of its own here, so that its memory is nobody else's. */
const world = await startWorld(t);
const team = await world.newTeam();
const host = await addHost(t, world, 'h-counts');

const MIB = 2 ** 20;
const FILE_MIB = 1024;
/** How much larger the edge may become than it was before: a few pieces, and what is not collected yet. */
const GROWTH_MIB_MAX = 160;

/** Peak of the memory that a process had in RAM, in MiB, since the last call of `forgetPeak`. */
async function peakMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** Begins the peak anew at what the process has now (proc(5): clear_refs). */
async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

t.test(`a file of ${FILE_MIB} MiB passes through the edge, which does not grow with it`, async (t) => {
  const child = startNode(
    [MAIN, 'edge'],
    {
      NATS_URL: world.nats.url,
      DATABASE_URL: world.postgres.url,
      DORMOUSE_DATA_DIR: await temporaryFolder(t),
      DORMOUSE_HTTP_PORT: '0',
      DORMOUSE_LOG_LEVEL: 'error',
    },
    { buffer: false },
  );
  t.teardown(async () => {
    child.kill('SIGTERM');
    await child;
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  const url = new URL(line.replace('edge: ', ''));
  const pid = child.pid!;

  /** Sends so many MiB, and returns the answer. */
  const upload = async (name: string, mib: number): Promise<{ status: number | undefined; body: string }> => {
    const outgoing = httpRequest(new URL(`/v1/templates?name=${name}&format=tar`, url), {
      method: 'POST',
      agent: false,
      headers: {
        'x-api-key': team.key,
        'content-type': 'application/x-tar',
        'content-length': String(mib * MIB),
      },
    });
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    const chunk = Buffer.alloc(MIB / 4);
    const content = Readable.from(
      (function* () {
        for (let sent = 0; sent < mib * 4; sent++) yield chunk;
      })(),
    );
    await pipeline(content, outgoing);
    const [response] = await answered;
    return { status: response.statusCode, body: await text(response) };
  };
  let most = 0;
  host.building = () => {
    most = Math.max(most, ...host.uploads.values());
  };

  t.equal((await upload('first', 32)).status, 201, 'code is compiled, buffers are there');
  await forgetPeak(pid);
  const beforeMib = await peakMib(pid);
  const { status, body } = await upload('large', FILE_MIB);
  const growthMib = (await peakMib(pid)) - beforeMib;
  t.equal(status, 201, body);
  t.equal(most, FILE_MIB * MIB, 'all of it arrived');
  t.comment(`from ${Math.round(beforeMib)} MiB, at most ${Math.round(growthMib)} MiB more`);
  t.ok(growthMib < GROWTH_MIB_MAX, `${Math.round(growthMib)} MiB are less than ${GROWTH_MIB_MAX}`);
});

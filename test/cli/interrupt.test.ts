import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { finished, REPO, startNode } from './support.ts';

const FILE = path.join(REPO, 'src', 'cli', 'interrupt.ts');

/** A process that says what its interruption does. Each look at its clock is `tickMs` later than the one before. */
async function start(t: Test, tickMs: number) {
  const program = `
    import { interruptible } from ${JSON.stringify(FILE)};
    let nowMs = 0;
    const interruption = interruptible({ monotonicMs: () => (nowMs += ${tickMs}) });
    interruption.signal.addEventListener('abort', () => console.log('aborted'));
    process.on('SIGUSR2', () => { console.log('status ' + interruption.status()); process.exit(0); });
    process.on('SIGTERM', () => console.log('SIGTERM seen'));
    console.log('ready');
    setInterval(() => {}, 1000);
  `;
  const child = startNode(['--input-type=module-typescript', '--eval', program], {}, { buffer: false });
  t.teardown(() => child.kill('SIGKILL'));
  const output = createInterface({ input: child.stdout });
  const nextLine = async (): Promise<string> => String(await once(output, 'line'));
  t.equal(await nextLine(), 'ready');
  return { child, nextLine };
}

t.test('what arrives at once is one request to stop', async (t) => {
  const { child, nextLine } = await start(t, 1);
  child.kill('SIGINT');
  t.equal(await nextLine(), 'aborted');
  child.kill('SIGTERM');
  t.equal(await nextLine(), 'SIGTERM seen');
  child.kill('SIGUSR2');
  t.equal(await nextLine(), 'status 130', 'goes on, and knows the first signal');
  t.equal((await finished(child)).status, 0);
});

t.test('a later request ends the process', async (t) => {
  const { child, nextLine } = await start(t, 1000);
  child.kill('SIGINT');
  t.equal(await nextLine(), 'aborted');
  child.kill('SIGTERM');
  t.equal((await finished(child)).status, 143);
});

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import { systemClock } from '../../../src/clock.ts';
import { Ledger } from '../../../src/drivers/network/namespace/ledger.ts';

const anyNumber = async (): Promise<boolean> => true;

async function stateDir(t: { teardown(undo: () => Promise<void>): unknown }): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'dml-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function opened(dir: string, hostId: string): Promise<Ledger> {
  const ledger = new Ledger(dir, hostId, systemClock);
  await ledger.open();
  return ledger;
}

t.test('hosts that take at the same time never get the same number', async (t) => {
  const dir = await stateDir(t);
  const ledgers = await Promise.all(['h-a', 'h-b', 'h-c'].map((hostId) => opened(dir, hostId)));
  const taken = await Promise.all(
    Array.from({ length: 60 }, (_, index) => ledgers[index % 3]!.take(anyNumber)),
  );
  t.same(
    taken.sort((a, b) => a - b),
    Array.from({ length: 60 }, (_, index) => index),
    'the 60 lowest, each once',
  );
  for (const ledger of ledgers) t.equal((await ledger.own()).length, 20);
  t.equal((await readdir(path.join(dir, 'slots'))).length, 60, 'nothing written aside is left');
});

t.test('a number that is not usable is left out, and a freed one is taken again', async (t) => {
  const ledger = await opened(await stateDir(t), 'h-a');
  t.equal(await ledger.take(async (number) => number >= 2), 2);
  t.equal(await ledger.take(anyNumber), 0);
  await ledger.free(2);
  await ledger.free(2);
  t.equal(await ledger.take(async (number) => number >= 2), 2);
});

t.test('the holder outlives the agent', async (t) => {
  const dir = await stateDir(t);
  const ledger = await opened(dir, 'h-a');
  const number = await ledger.take(anyNumber);
  await ledger.setHolder(number, 'sb-x');
  const [entry] = await (await opened(dir, 'h-a')).own();
  t.match(entry, { number, hostId: 'h-a', holder: 'sb-x' });
  t.match(JSON.parse(await readFile(path.join(dir, 'slots', '0.json'), 'utf8')), { holder: 'sb-x' });
  t.same(await (await opened(dir, 'h-b')).own(), [], 'and is not seen by another host');
});

t.test('files of others are kept; what this host was writing when it was killed goes', async (t) => {
  const dir = await stateDir(t);
  await opened(dir, 'h-a');
  const at = (name: string): string => path.join(dir, 'slots', name);
  for (const name of ['0.json', '1.json', '007.json', 'notes.txt']) await writeFile(at(name), 'not an entry');
  await writeFile(at('2.json'), JSON.stringify(['h-a']));
  await writeFile(at('.h-a~0000'), '{"hostId"');
  await writeFile(at('.h-a-b~0000'), '{"hostId"');
  const ledger = await opened(dir, 'h-a');
  t.same(await ledger.own(), []);
  t.equal(await ledger.take(anyNumber), 3, 'a number is taken whoever has the file');
  t.same((await readdir(path.join(dir, 'slots'))).sort(), [
    '.h-a-b~0000',
    '0.json',
    '007.json',
    '1.json',
    '2.json',
    '3.json',
    'notes.txt',
  ]);
});

t.test('a folder that cannot be used is NETWORK_FAILED', async (t) => {
  const dir = await stateDir(t);
  await writeFile(path.join(dir, 'slots'), 'a file');
  const ledger = new Ledger(dir, 'h-a', systemClock);
  await t.rejects(ledger.open(), { code: 'NETWORK_FAILED' });
  await t.rejects(ledger.take(anyNumber), { code: 'NETWORK_FAILED' });
});

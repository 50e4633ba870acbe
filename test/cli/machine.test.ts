import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { problemsOf } from '../../src/bus/schema.ts';
import { MachineDrawing } from '../../src/machines/drawing.ts';
import { machineDefinition, machineGraph, mermaidOf } from '../../src/machines/index.ts';
import { dormouse, temporaryFolder } from './support.ts';

t.test('prints a machine in each format, without a server', async (t) => {
  const printed = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await dormouse(['machine', ...args]);
    t.equal(status, 0, stderr);
    return stdout.toString();
  };
  t.equal(await printed('sandbox'), mermaidOf(machineGraph('sandbox')));
  t.same(JSON.parse(await printed('host', '--format', 'xstate')), machineDefinition('host'));
  t.match(await printed('loop-registry', '--format', 'svg'), /^<svg .*<\/svg>\n$/s);
  const json = await printed('host', '--format', 'json');
  t.same(problemsOf(MachineDrawing, JSON.parse(json)), []);
  t.equal(await printed('host', '--json'), json);
});

t.test('writes it to a file', async (t) => {
  const file = path.join(await temporaryFolder(t), 'host.mmd');
  const { status, stdout } = await dormouse(['machine', 'host', '--output', file]);
  t.equal(status, 0);
  t.equal(stdout.toString(), '');
  t.equal(await readFile(file, 'utf8'), mermaidOf(machineGraph('host')));
});

t.test('what is no machine or format is wrong usage', async (t) => {
  for (const args of [['scheduler'], ['host', '--format', 'png'], []])
    t.equal((await dormouse(['machine', ...args])).status, 2, args.join(' '));
});

t.test('a file that cannot be written is an error that says so', async (t) => {
  const { status, stderr } = await dormouse(['machine', 'host', '--output', '/nonexistent/host.mmd']);
  t.equal(status, 1);
  t.match(stderr, /INVALID_REQUEST.*\/nonexistent\/host\.mmd cannot be written \(ENOENT\)/s);
});

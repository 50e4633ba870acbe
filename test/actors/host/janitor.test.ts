import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { findLeaks } from '../../../src/actors/host/reconcile.ts';
import { newSandboxId } from '../../../src/ids.ts';
import { gate } from '../../support/gate.ts';
import { device, janitorWorld, until } from './janitor-world.ts';

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

t.test('what is nobody’s is removed when two passes in a row saw it: every level', async (t) => {
  const { janitor, machine, pathsOf, runMachine, given, lines } = await janitorWorld(t);
  const [one, two, three, four, five] = [1, 2, 3, 4, 5].map(newSandboxId) as [
    string,
    string,
    string,
    string,
    string,
  ];
  runMachine(one);
  machine.devices.push(device(two), device(three, { kind: 'loop', name: '/dev/loop7' }));
  machine.slots.push({ number: 1, holder: four }, { number: 2, holder: undefined });
  await mkdir(pathsOf(five).live, { recursive: true });
  await janitor.pass();
  t.same(given, [], 'one look is not enough');
  t.ok(await exists(pathsOf(five).root));
  await janitor.pass();
  t.same(given, [`vmm ${one}`, `disk ${two}`, `disk ${three}`, `slot ${four}`]);
  t.notOk(await exists(pathsOf(five).root));
  t.same(machine.slots, [{ number: 2, holder: undefined }], 'a spare slot is not left over');
  t.match(
    lines.map(({ level, sandbox, message, why }) => ({ level, sandbox, message, why })),
    [one, two, three, four, five].map((sandbox) => ({
      level: 'info',
      sandbox,
      message: /removed/,
      why: new RegExp(`${sandbox}.*no journal`),
    })),
    'one line each, with why',
  );
  lines.length = 0;
  await janitor.pass();
  t.same(lines, [], 'and nothing more is said');
});

t.test('one that was gone in between, or is another, is not removed at once', async (t) => {
  const { janitor, machine, runMachine, given } = await janitorWorld(t);
  const id = newSandboxId();
  const vm = runMachine(id);
  await janitor.pass();
  machine.processes = [];
  await janitor.pass();
  machine.processes = [vm];
  await janitor.pass();
  t.same(given, [], 'seen, gone, seen');
  machine.processes = [{ ...vm, startTicks: '2' }];
  await janitor.pass();
  t.same(given, [], 'the same pid is another process');
  await janitor.pass();
  t.same(given, [`vmm ${id}`]);
});

t.test('what stands on something goes before it, and what stays keeps the rest', async (t) => {
  const { janitor, machine, pathsOf, runMachine, given, hooks, lines } = await janitorWorld(t);
  const id = newSandboxId();
  await mkdir(pathsOf(id).live, { recursive: true });
  machine.slots.push({ number: 1, holder: id });
  machine.devices.push(device(id));
  runMachine(id);
  let text = 'it does not go';
  hooks.clear = () => {
    throw new Error(text);
  };
  await janitor.pass();
  await janitor.pass();
  t.same(given, [`vmm ${id}`]);
  const warnings = () => lines.filter(({ level }) => level === 'warn');
  t.match(warnings(), [{ sandbox: id, name: `dormouse-${id}`, err: { detail: 'it does not go' } }]);
  await janitor.pass();
  await janitor.pass();
  t.equal(warnings().length, 1, 'it is tried again, and the same is not said again');
  text = 'it still does not go';
  await janitor.pass();
  t.match(warnings()[1], { err: { detail: text } }, 'something else is said');
  t.ok(await exists(pathsOf(id).root), 'what is under the device stays');
  hooks.clear = () => {};
  await janitor.pass();
  t.same(given, [`vmm ${id}`, `disk ${id}`, `slot ${id}`]);
  t.notOk(await exists(pathsOf(id).root));
});

t.test('a slot that cannot be removed is not said to be', async (t) => {
  const { janitor, machine, drivers, lines } = await janitorWorld(t);
  machine.slots.push({ number: 1, holder: newSandboxId() });
  drivers.network.release = async () => {};
  await janitor.pass();
  await janitor.pass();
  await janitor.pass();
  t.match(lines, [{ level: 'warn', level_: undefined, err: { code: 'NETWORK_FAILED' } }]);
  t.equal(lines.length, 1);
});

t.test('what is not ours, and what somebody may want back, is never touched', async (t) => {
  const { janitor, root, machine, pathsOf, runMachine, given, lines, leave, sandboxes, drivers } =
    await janitorWorld(t);
  await mkdir(path.join(root, 'not-ours', 'run'), { recursive: true });
  await writeFile(path.join(root, 'a-file'), '');
  runMachine('not-ours');
  machine.slots.push({ number: 7, holder: 'somebody' });
  const unreadable = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await writeFile(pathsOf(unreadable).journal, '{"v":1,"kind":"sand');
  const stopped = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  const before = structuredClone(machine);
  // Nobody adopts the one whose actor failed too often.
  for (let round = 0; round < 3; round += 1) await janitor.pass();
  t.same(given, []);
  t.same(machine, before);
  for (const id of [unreadable, stopped])
    t.same((await readdir(pathsOf(id).root)).sort(), ['live', 'state.json']);
  t.same((await readdir(root)).sort(), ['a-file', 'not-ours', stopped, unreadable].sort());
  t.equal(lines.length, 8, 'each is said once');
  t.ok(lines.every(({ message }) => /left alone/.test(message)));
  const leaks = await findLeaks(root, drivers, sandboxes);
  t.equal(leaks.length, 8, 'and what is ours is shown');
  t.notOk(JSON.stringify(leaks).includes('not-ours'));
});

t.test('a slot that a paused sandbox could not give back is given back by its actor', async (t) => {
  const { janitor, leave, sandboxes, journaled, adopted, given, hooks, lines, machine } =
    await janitorWorld(t);
  const id = await leave('paused', ['snapshot', 'slot']);
  await sandboxes.adopt();
  hooks.release = () => {
    throw new Error('the slot is in use');
  };
  await janitor.pass();
  await janitor.pass();
  t.match(
    lines.filter(({ level }) => level === 'warn'),
    [{ sandbox: id, ledger: ['slot'], err: { causes: ['the slot is in use'] } }],
    'said once',
  );
  t.same(await journaled(id), ['snapshot', 'slot']);
  hooks.release = () => {};
  await janitor.pass();
  t.same(given, [`slot ${id}`]);
  t.same(machine.slots, []);
  t.same(
    (await adopted(id)).actor.record.ledger.map(({ kind }) => kind),
    ['snapshot'],
  );
  t.same(await journaled(id), ['snapshot'], 'ledger and machine stay together');
  t.match(lines.at(-1), { level: 'info', sandbox: id, released: ['slot'] });
  t.equal((await adopted(id)).actor.state, 'paused');
});

t.test('a snapshot that a resume could not delete is deleted while the sandbox runs', async (t) => {
  const { janitor, leave, sandboxes, journaled, pathsOf, adopted, hooks } = await janitorWorld(t);
  const id = await leave('running', ['snapshot', 'live', 'disk', 'slot', 'vmm']);
  await sandboxes.adopt();
  hooks.stop = () => void t.fail('the virtual machine is not touched');
  await janitor.tidy();
  t.notOk(await exists(pathsOf(id).snapshot));
  t.equal(await readFile(path.join(pathsOf(id).live, 'memory'), 'utf8'), 'live');
  t.same(await journaled(id), ['live', 'disk', 'slot', 'vmm']);
  t.equal((await adopted(id)).actor.state, 'running');
});

t.test('the last folder of a sandbox never goes, whatever the ledger says', async (t) => {
  const { janitor, leave, sandboxes, journaled, pathsOf, lines } = await janitorWorld(t);
  const running = await leave('running', ['snapshot', 'live', 'disk', 'slot', 'vmm']);
  const paused = await leave('paused', ['snapshot', 'live']);
  await rm(pathsOf(running).live, { recursive: true });
  await rm(pathsOf(paused).snapshot, { recursive: true });
  await sandboxes.adopt();
  await janitor.pass();
  await janitor.pass();
  t.ok(await exists(pathsOf(running).snapshot));
  t.ok(await exists(pathsOf(paused).live));
  t.ok((await journaled(running)).includes('snapshot'));
  t.equal(lines.filter(({ message }) => /given back/.test(message)).length, 2, 'both are said once');
});

t.test('what a step that was given up did after all is given back when the sandbox rests', async (t) => {
  const { janitor, leave, sandboxes, machine, runMachine, pathsOf, given, hooks, adopted } =
    await janitorWorld(t);
  const id = await leave('paused', ['snapshot']);
  await sandboxes.adopt();
  const sandbox = await adopted(id);
  runMachine(id);
  machine.devices.push(device(id));
  machine.slots.push({ number: 4, holder: id });
  await mkdir(pathsOf(id).live);
  await janitor.pass();
  t.same(given, [], 'seen once');
  // A command that comes meanwhile waits for its turn.
  const held = gate();
  let isHeld = false;
  hooks.stop = async () => {
    isHeld = true;
    await held.passed;
  };
  const pass = janitor.pass();
  await until(() => isHeld);
  const destroyed = sandbox.command(
    'destroy',
    {},
    { commandId: 'd', deadlineMs: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal },
  );
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  t.equal(sandbox.actor.state, 'paused');
  held.open();
  await pass;
  t.same(given.slice(0, 3), [`vmm ${id}`, `slot ${id}`, `disk ${id}`], 'in the order of giving back');
  t.match(await destroyed, { state: 'destroyed' });
});

t.test('a second virtual machine of a sandbox that runs is a leak, and is ended alone', async (t) => {
  const {
    janitor,
    leave,
    sandboxes,
    machine,
    runMachine,
    given,
    hooks,
    lines,
    journaled,
    adopted,
    ...world
  } = await janitorWorld(t);
  const id = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await sandboxes.adopt();
  const own = [...machine.processes];
  const leaks = () => findLeaks(world.root, world.drivers, sandboxes);
  t.same(await leaks(), []);
  const second = runMachine(id);
  const third = runMachine(id);
  t.match(
    await leaks(),
    [second, third].map(({ pid }) => ({
      kind: 'process',
      name: `pid ${pid}`,
      detail: new RegExp(`${id}, whose ledger names another one, pid ${own[0]?.pid}`),
    })),
  );
  await janitor.pass();
  t.same(given, [], 'one look is not enough');
  machine.processes = machine.processes.map((vm) => (vm === third ? { ...third, startTicks: '2' } : vm));
  // One that ends by itself, just before, is not taken for the one that is left.
  hooks.stop = () => {
    machine.processes = machine.processes.filter((vm) => vm !== second);
  };
  await janitor.pass();
  t.same(given, []);
  t.same(machine.processes, [...own, { ...third, startTicks: '2' }], 'the same pid is another process');
  hooks.stop = () => {};
  await janitor.pass();
  t.same(given, [`vmm ${id}`]);
  t.same(machine.processes, own);
  t.match(lines.at(-1), { level: 'info', sandbox: id, strays: [`pid ${third.pid}`], released: ['vmm'] });
  t.same(await leaks(), []);
  t.same(await journaled(id), ['live', 'disk', 'slot', 'vmm']);
  t.equal((await adopted(id)).actor.state, 'running');
});

t.test('all virtual machines of a paused sandbox go, each by itself', async (t) => {
  const { janitor, leave, sandboxes, machine, runMachine, given } = await janitorWorld(t);
  const id = await leave('paused', ['snapshot']);
  await sandboxes.adopt();
  runMachine(id);
  runMachine(id);
  await janitor.pass();
  const late = runMachine(id);
  await janitor.pass();
  t.same(given, [`vmm ${id}`, `vmm ${id}`]);
  t.same(machine.processes, [late], 'seen once');
});

t.test(
  'a second virtual machine is left alone while an operation is under way, and judged anew after it',
  async (t) => {
    const { janitor, leave, sandboxes, runMachine, given, hooks, adopted, root, drivers } =
      await janitorWorld(t);
    const id = await leave('running', ['live', 'disk', 'slot', 'vmm']);
    const stranded = await leave('stranded', ['live', 'disk', 'slot', 'vmm'], {
      timers: { 'xstate.after.backOff.sandbox.stranded': { atMs: 9e15, event: { type: 'x' } } },
    });
    await sandboxes.adopt();
    runMachine(id);
    runMachine(stranded);
    const context = (commandId: string) => ({
      commandId,
      deadlineMs: Number.MAX_SAFE_INTEGER,
      signal: new AbortController().signal,
    });
    await janitor.pass();
    const sandbox = await adopted(id);
    const held = gate();
    hooks.stop = async () => await held.passed;
    const restarted = sandbox.command('restart', {}, context('r')).catch(() => {});
    await until(() => sandbox.actor.state === 'restarting.stoppingVm');
    for (let round = 0; round < 3; round += 1) await janitor.pass();
    t.same(given, []);
    t.same(await findLeaks(root, drivers, sandboxes), [], 'either may be the one that is needed');
    held.open();
    await restarted;
  },
);

t.test('what a pass saw is judged once more in the turn of the actor', async (t) => {
  const { leave, sandboxes, machine, given, adopted } = await janitorWorld(t);
  const id = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await sandboxes.adopt();
  const [vm] = machine.processes;
  if (!vm) throw new Error('it runs');
  const { signal } = new AbortController();
  t.same(await (await adopted(id)).tidy([{ kind: 'vmm', vm }], signal), []);
  t.same(given, [], 'by now it is the one that the ledger names');
});

t.test('a device that was never given a table is a leak, and is given back', async (t) => {
  const { janitor, leave, sandboxes, machine, given, lines, root, drivers } = await janitorWorld(t);
  const paused = await leave('paused', ['snapshot']);
  const running = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await sandboxes.adopt();
  const left = device(paused, { withoutTable: true });
  // Its ledger names a disk: an attach may be about to give it its table.
  const beingMade = device(running, { name: `dormouse-${running}-origin`, withoutTable: true });
  machine.devices.push(left, beingMade);
  t.match(await findLeaks(root, drivers, sandboxes), [
    { kind: 'device', name: left.name, detail: /without a table.*whose ledger does not name it/ },
  ]);
  await janitor.pass();
  t.same(given, [], 'one look is not enough');
  await janitor.pass();
  t.same(given, [`device ${left.name}`]);
  t.match(lines.at(-1), { level: 'info', sandbox: paused, strays: [left.name], released: ['disk'] });
  t.same(machine.devices, [device(running), beingMade]);
});

t.test('an operation under way is left alone, and so is a sandbox that is being made', async (t) => {
  const { janitor, sandboxes, hooks, pathsOf, machine, given, input, leave, adopted } = await janitorWorld(t);
  const made = gate();
  let isMaking = false;
  hooks.make = async () => {
    isMaking = true;
    await made.passed;
  };
  const id = newSandboxId();
  const creating = sandboxes.create(input(id));
  for (let round = 0; round < 3; round += 1) await janitor.pass();
  t.ok(await exists(pathsOf(id).root), 'its folder was there before its journal');
  await creating;
  // Something that the ledger does not name yet, while the disk is being made.
  machine.slots.push({ number: 4, holder: id });
  for (let round = 0; round < 3; round += 1) await janitor.pass();
  t.same(given, []);
  t.equal((await adopted(id)).actor.state, 'creating.disk');
  await until(() => isMaking);
  made.fail(new Error('no disk'));
  const stranded = await leave('stranded', ['snapshot', 'live'], {
    timers: { 'xstate.after.backOff.sandbox.stranded': { atMs: 9e15, event: { type: 'x' } } },
  });
  await sandboxes.adopt().catch(() => {});
  for (let round = 0; round < 3; round += 1) await janitor.pass();
  t.ok(await exists(pathsOf(stranded).live), 'a stranded sandbox keeps everything');
});

t.test(
  'a sandbox that is asked for while its debris is cleared waits, and is made in a folder of its own',
  async (t) => {
    const { janitor, sandboxes, hooks, pathsOf, input, runMachine } = await janitorWorld(t);
    const id = newSandboxId();
    await mkdir(pathsOf(id).live, { recursive: true });
    await writeFile(path.join(pathsOf(id).root, 'old'), '');
    runMachine(id);
    await janitor.pass();
    const held = gate();
    let isHeld = false;
    hooks.stop = async () => {
      isHeld = true;
      await held.passed;
    };
    const pass = janitor.pass();
    await until(() => isHeld);
    t.equal(sandboxes.keeperOf(id), 'under way');
    const creating = sandboxes.create(input(id));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    t.same((await readdir(pathsOf(id).root)).sort(), ['live', 'old'], 'nothing is begun yet');
    held.open();
    const made = gate();
    let isMaking = false;
    hooks.make = async () => {
      isMaking = true;
      await made.passed;
    };
    const sandbox = await creating;
    await pass;
    t.equal(sandbox.actor.state, 'creating.disk');
    t.ok((await readdir(pathsOf(id).root)).includes('state.next.json'), 'the rest was left to it');
    await until(() => isMaking);
    made.fail(new Error('no disk'));
  },
);

t.test('an old snapshot is deleted, and what a journal is being written to is not', async (t) => {
  const { janitor, leave, sandboxes, pathsOf, root, drivers } = await janitorWorld(t);
  const id = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await sandboxes.adopt();
  await mkdir(path.join(pathsOf(id).root, 'trash-1234', 'deep'), { recursive: true });
  await writeFile(path.join(pathsOf(id).root, 'state.json.0badf00d.tmp'), '{');
  await writeFile(path.join(pathsOf(id).live, 'memory.0badf00d.partial'), '{');
  t.same(await findLeaks(root, drivers, sandboxes), [], 'neither is a leak');
  await janitor.pass();
  t.ok(await exists(path.join(pathsOf(id).root, 'trash-1234')));
  await janitor.pass();
  t.notOk(await exists(path.join(pathsOf(id).root, 'trash-1234')));
  t.ok(await exists(path.join(pathsOf(id).root, 'state.json.0badf00d.tmp')));
  t.same((await readdir(pathsOf(id).live)).sort(), ['memory', 'memory.0badf00d.partial']);
});

t.test('the folder of a sandbox that has ended goes, once the stream knows', async (t) => {
  const { janitor, leave, pathsOf } = await janitorWorld(t);
  const told = await leave('destroyed', []);
  const untold = await leave('destroyed', [], { outbox: [{ seq: 5 }] });
  await janitor.pass();
  await janitor.pass();
  t.notOk(await exists(pathsOf(told).root));
  t.ok(await exists(pathsOf(untold).root));
});

t.test('a removal that does not end is given up and keeps nothing else from going', async (t) => {
  const { janitor, clock, runMachine, hooks, given, lines } = await janitorWorld(t);
  const [stuck, other] = [newSandboxId(), newSandboxId()];
  runMachine(stuck);
  runMachine(other);
  await janitor.pass();
  let isStuck = false;
  hooks.stop = async (id) => {
    if (id !== stuck) return;
    isStuck = true;
    await gate().passed;
  };
  const pass = janitor.pass();
  await until(() => isStuck);
  clock.advance(15_000);
  await pass;
  t.same(given, [`vmm ${other}`]);
  t.match(
    lines.find(({ level }) => level === 'warn'),
    { sandbox: stuck, err: { detail: /15000 ms/ } },
  );
});

t.test('what a flattening could not give back is removed, and not what one uses', async (t) => {
  const { janitor, machine, given } = await janitorWorld(t);
  const [left, used] = [newSandboxId(), newSandboxId()];
  machine.devices.push(
    device(left, { name: `dormouse-${left}-flat`, temporary: true }),
    device(used, { name: `dormouse-${used}-flat`, temporary: true, isUsed: true }),
  );
  await janitor.pass();
  await janitor.pass();
  t.same(given, [`disk ${left}`]);
});

t.test('passes are made periodically, pokes are heard at once, and a stop ends it all', async (t) => {
  const everyMs = 1000;
  const { janitor, clock, runMachine, given, leave, sandboxes, journaled, lines, hooks } = await janitorWorld(
    t,
    { everyMs },
  );
  const id = await leave('paused', ['snapshot', 'slot']);
  janitor.start();
  await sandboxes.adopt();
  t.same(await journaled(id), ['snapshot', 'slot']);
  janitor.poke();
  await until(async () => (await journaled(id)).length === 1);
  t.same(given, [`slot ${id}`], 'at once, without a look at the machine');
  const orphan = newSandboxId();
  runMachine(orphan);
  for (let round = 0; round < 3; round += 1) {
    janitor.poke();
    await new Promise((resolve) => setTimeout(resolve, 5));
    t.notOk(given.includes(`vmm ${orphan}`), 'pokes are no passes');
  }
  // Only while it sleeps: time that goes on under a removal would use up what the removal may take.
  const letSleep = (): void => {
    const [nextMs] = clock.armed();
    if (nextMs !== undefined && nextMs <= everyMs) clock.advance(nextMs);
  };
  await until(() => {
    letSleep();
    return given.includes(`vmm ${orphan}`);
  });
  const late = runMachine(newSandboxId());
  let isStopping = false;
  const held = gate();
  hooks.stop = async () => {
    isStopping = true;
    await held.passed;
  };
  await until(() => {
    if (!isStopping) letSleep();
    return isStopping;
  });
  let ended = false;
  const stopped = janitor.stop().then(() => {
    ended = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(ended, 'it waits for what is being removed');
  held.open();
  await stopped;
  t.ok(given.includes(`vmm ${late.sandboxId}`));
  const count = lines.length;
  runMachine(newSandboxId());
  clock.advance(10_000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(lines.length, count);
  t.same(clock.armed(), []);
});

t.test('0 is off', async (t) => {
  const { janitor, clock } = await janitorWorld(t, { everyMs: 0 });
  janitor.start();
  janitor.poke();
  t.same(clock.armed(), []);
});

t.test('a machine that cannot be looked at is said once and looked at again', async (t) => {
  const { janitor, clock, drivers, lines } = await janitorWorld(t, { everyMs: 1000 });
  let looks = 0;
  drivers.vmm.list = async () => {
    looks += 1;
    throw new Error('no /proc');
  };
  janitor.start();
  for (let round = 1; round <= 3; round += 1) {
    clock.advance(1000);
    await until(() => looks === round && clock.armed().length > 0);
  }
  t.match(lines, [{ level: 'warn', err: 'no /proc' }]);
  t.equal(lines.length, 1);
});

t.test('at the start: what an agent that died left half-made goes at once', async (t) => {
  const { janitor, root, machine, pathsOf, runMachine, leave, given } = await janitorWorld(t);
  const kept = await leave('paused', ['snapshot']);
  const flattened = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  const unreadable = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  await writeFile(pathsOf(unreadable).journal, '{');
  machine.devices.push(
    device(kept),
    device(flattened, { name: `dormouse-${flattened}-flat`, temporary: true }),
  );
  machine.devices = machine.devices.filter(
    ({ sandboxId, temporary }) => sandboxId !== flattened || temporary,
  );
  const [folder, orphan] = [newSandboxId(), newSandboxId()];
  await mkdir(pathsOf(folder).live, { recursive: true });
  runMachine(folder);
  runMachine(orphan);
  await mkdir(path.join(root, 'not-ours'));
  const foreign = runMachine('not-ours');
  await mkdir(path.join(pathsOf(kept).root, 'trash-1'));
  await writeFile(`${pathsOf(kept).journal}.0badf00d.tmp`, '{');
  t.same(await janitor.begin(new AbortController().signal), {
    cleared: 7,
    foreign: ['folder not-ours', `process ${foreign.pid}`],
  });
  t.same(given.sort(), [`disk ${kept}`, `disk ${flattened}`, `vmm ${folder}`, `vmm ${orphan}`].sort());
  t.same((await readdir(root)).sort(), ['not-ours', kept, flattened, unreadable].sort());
  t.same((await readdir(pathsOf(kept).root)).sort(), ['snapshot', 'state.json']);
  t.same((await janitor.begin(new AbortController().signal)).cleared, 0);
});

t.test('at the start: no device without a table is being made, whatever the ledger names', async (t) => {
  const { janitor, leave, machine, given } = await janitorWorld(t);
  const running = await leave('running', ['live', 'disk', 'slot', 'vmm']);
  const left = device(running, { name: `dormouse-${running}-origin`, withoutTable: true });
  machine.devices.push(left);
  t.equal((await janitor.begin(new AbortController().signal)).cleared, 1);
  t.same(given, [`device ${left.name}`]);
  t.same(machine.devices, [device(running)], 'the disk itself stays');
});

t.test(
  'at the start: one that cannot be removed keeps neither the others nor the host from starting',
  async (t) => {
    const { janitor, root, pathsOf, runMachine, hooks, lines } = await janitorWorld(t);
    const [stuck, other] = [newSandboxId(), newSandboxId()];
    for (const id of [stuck, other]) await mkdir(pathsOf(id).live, { recursive: true });
    runMachine(stuck);
    hooks.stop = (id) => {
      if (id === stuck) throw new Error('it does not go');
    };
    t.match(await janitor.begin(new AbortController().signal), { cleared: 1 });
    t.same(await readdir(root), [stuck]);
    t.match(
      lines.find(({ level }) => level === 'warn'),
      { sandbox: stuck },
    );
  },
);

t.test('where there is no folder nothing is found', async (t) => {
  const { janitor, root } = await janitorWorld(t);
  await rm(root, { recursive: true });
  t.same(await janitor.begin(new AbortController().signal), { cleared: 0, foreign: [] });
  await janitor.pass();
});

import type { TemplateFile } from '../../src/actors/host/template-file.ts';
import type { Sandbox } from '../../src/actors/sandbox/sandbox.ts';
import { ownerOf } from '../../src/drivers/disk/device-mapper/names.ts';
import { PLATFORM_TEAM_ID } from '../../src/ids.ts';
import { sandboxPaths } from '../../src/paths.ts';
import { PATHS } from './paths.ts';
import type { Simulation } from './simulation.ts';
import type { World } from './world/world.ts';

/**
 * What must hold when everything is at rest: what the host holds is what its sandboxes' ledgers name, nothing more and nothing
 * less, and everybody says the same of every sandbox. It is looked at in the simulated kernel, not asked of the agent.
 */

/** The states in which a sandbox may rest when nothing fails any more. */
const REST = /^(running|paused|crashed\.resting)$/;
/** What an operation that was interrupted leaves in a sandbox's folder. */
const STRAY = /\.tmp$|\.partial$|^trash-/;

/** What an interrupted operation leaves in a template's folder. */
const HALF_MADE = /\.tmp$|\.partial$|\.flat$/;

/** Nothing is under way: every sandbox rests, and what there is to tell was told. */
export function isAtRest({ agent, services }: Simulation): boolean {
  return (
    agent?.host
      .sandboxes()
      .every(
        ({ id, context, actor: { state, record } }) =>
          context.teamId !== PLATFORM_TEAM_ID &&
          REST.test(state) &&
          record.outbox.length === 0 &&
          services.records.sandboxes.get(id)?.view.seq === record.seq,
      ) ?? false
  );
}

/** What does not agree, one line each. Empty when all is well. */
export function differences(simulation: Simulation): string[] {
  const { world, agent } = simulation;
  if (!agent) return ['there is no agent'];
  const sandboxes = agent.host.sandboxes();
  const held = (id: string): string[] => {
    const sandbox = sandboxes.find((one) => one.id === id);
    return sandbox ? ledgerOf(sandbox) : [];
  };
  const folders = [...world.files.folder(PATHS.sandboxes).entries.keys()];
  return [
    ...sandboxes.flatMap((sandbox) => [...ofSandbox(world, sandbox), ...ofRecord(simulation, sandbox)]),
    ...world.machines
      .all()
      .filter(({ sandboxId }) => !held(sandboxId).includes('vmm'))
      .map(({ sandboxId }) => `(4) a machine of ${sandboxId} runs for nobody`),
    ...world.slots
      .list()
      .filter(({ holder }) => !held(holder).includes('slot'))
      .map(({ holder }) => `(4) a slot is held for ${holder}, whose ledger does not name it`),
    ...[...world.blocks.devices.keys()]
      .filter((name) => !held(ownerOf(name)?.sandboxId ?? '').includes('disk'))
      .map((name) => `(4) the device ${name} belongs to nobody`),
    ...folders
      .filter((name) => !sandboxes.some(({ id }) => id === name))
      .map((name) => `(4) there is a folder ${name} of no sandbox`),
    ...ofLoops(simulation),
    ...ofCopies(simulation),
  ];
}

/** Templates of teams that are whole, by their folders on the simulated disk. */
export function teamTemplates(world: World): Array<{ folder: string; name: string; diskSizeMb: number }> {
  return [...world.files.folder(PATHS.templates).entries.keys()].flatMap((folder) => {
    const file = world.files.find(`${PATHS.templates}/${folder}/template.json`);
    if (file?.kind !== 'file' || !folder.startsWith('t-')) return [];
    const { name, disk_size_mb: diskSizeMb } = JSON.parse(file.text) as TemplateFile;
    return [{ folder, name, diskSizeMb }];
  });
}

/** Copies of sandboxes: none is left in the host's hands, and templates that are made of them are whole, or carry a disk. */
function ofCopies({ world, services }: Simulation): string[] {
  const { files } = world;
  const namesIn = (path: string): string[] => {
    const folder = files.find(path);
    return folder?.kind === 'folder' ? [...folder.entries.keys()] : [];
  };
  const templates = teamTemplates(world);
  const records = [...namesIn(PATHS.sandboxes)].flatMap((id) =>
    ['live', 'snapshot'].flatMap((part) => {
      const record = files.find(`${PATHS.sandboxes}/${id}/${part}/disk.json`);
      return record?.kind === 'file' ? [record.text] : [];
    }),
  );
  const unfinished = namesIn(PATHS.templates).filter(
    (name) => name.startsWith('t-') && !templates.some(({ folder }) => folder === name),
  );
  const named = templates.map(({ name }) => name).sort();
  const recorded = services.records.teamTemplates().sort();
  return [
    ...namesIn(PATHS.captures).map((name) => `(4) the copy ${name} of a sandbox is left`),
    ...unfinished
      .filter((name) => !records.some((text) => text.includes(`/${name}/`)))
      .map((name) => `(4) the folder ${name} is of no template, and carries no disk`),
    ...templates.flatMap(({ folder }) =>
      namesIn(`${PATHS.templates}/${folder}`)
        .filter((name) => HALF_MADE.test(name))
        .map((name) => `(4) ${name} is left in the template ${folder}`),
    ),
    ...(named.join() === recorded.join()
      ? []
      : [`there are the templates ${named}, and the records say ${recorded}`]),
  ];
}

const ledgerOf = ({ actor }: Sandbox): string[] => actor.record.ledger.map(({ kind }) => kind);

/** A sandbox against its ledger. */
function ofSandbox(world: World, sandbox: Sandbox): string[] {
  const { id, actor } = sandbox;
  const { state } = actor;
  const wrong: string[] = [];
  const paths = sandboxPaths(PATHS, id);
  const has = (path: string): boolean => world.files.find(path) !== undefined;
  if (!REST.test(state)) wrong.push(`(4) ${id} stays ${state}`);
  if (has(paths.live) === has(paths.snapshot))
    wrong.push(`(3) ${id}, ${state}: live/ and snapshot/ are ${has(paths.live) ? 'both' : 'neither'} there`);
  if (sandbox.context.teamId === PLATFORM_TEAM_ID) wrong.push(`(4) ${id} is nobody's, and stays ${state}`);
  const ledger = ledgerOf(sandbox);
  for (const [kind, isThere] of [
    ['live', has(paths.live)],
    ['snapshot', has(paths.snapshot)],
    ['vmm', world.machines.of(id) !== undefined],
    ['slot', world.slots.list().some(({ holder }) => holder === id)],
    ['disk', world.blocks.devices.has(`dormouse-${id}`)],
  ] as const)
    if (isThere !== ledger.includes(kind))
      wrong.push(`(4) ${id}, ${state}: ${kind} is ${isThere ? '' : 'not '}there, the ledger says ${ledger}`);
  const machine = world.machines.of(id);
  if (state === 'running' && machine?.state !== 'running')
    wrong.push(`${id} is said to run, and its machine is ${machine?.state ?? 'gone'}`);
  const folder = world.files.find(paths.root);
  const names = folder?.kind === 'folder' ? [...folder.entries.keys()] : [];
  if (names.some((name) => STRAY.test(name)))
    wrong.push(`(4) ${id} has left files behind: ${names.filter((name) => STRAY.test(name))}`);
  return wrong;
}

/** A sandbox against what people are told who ask for it. */
function ofRecord({ services }: Simulation, sandbox: Sandbox): string[] {
  if (sandbox.context.teamId === PLATFORM_TEAM_ID) return [];
  const { state, seq } = sandbox.view();
  const recorded = services.records.sandboxes.get(sandbox.id)?.view;
  if (recorded?.state === state && recorded.seq === seq) return [];
  return [`${sandbox.id} is ${state} (${seq}), and the records say ${recorded?.state} (${recorded?.seq})`];
}

/** A loop is there for a device of ours, and the registry's holders are these devices. */
function ofLoops({ world, agent }: Simulation): string[] {
  const unused = [...world.blocks.loops.values()]
    .filter(({ number }) => world.blocks.usersOf(`loop${number}`).length === 0)
    .map((loop) => `(2) the loop of ${world.blocks.backingFile(loop).path} is used by nobody`);
  const strangers = (agent?.loops.list() ?? []).flatMap(({ device, holders }) => {
    const users = world.blocks.usersOf(device.replace('/dev/', '')).map(({ name }) => name);
    if (users.sort().join() === [...holders].sort().join()) return [];
    return [`(2) the registry says that ${holders} hold ${device}; on it stand ${users}`];
  });
  return [...unused, ...strangers];
}

/**
 * The stream has every transition of every sandbox, in order. One can be there again that the journal still had, when the
 * stream had forgotten its id; consumers drop it. After a power cut the journal may not know what it had told.
 */
export function checkEvents({ world, services }: Simulation): void {
  if (world.bootNumber > 1) return;
  const told = new Map<string, string[]>();
  for (const { sandbox_id: id, seq, to } of services.stream.events) {
    const before = told.get(id) ?? [];
    told.set(id, before);
    if (seq === before.length + 1) before.push(to);
    else if (before[seq - 1] !== to)
      world.violate(`the stream has transition ${seq} of ${id}, ${to}, after ${before.length}`);
  }
}

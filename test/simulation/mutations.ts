import type { Change } from './bundle.ts';

/** A change of the product that breaks one of its promises. The simulation must notice each. */
export interface Mutation extends Change {
  name: string;
  /** The scenario in which it shows: all single faults in it are tried. */
  scenario: string;
}

const SANDBOX = 'actors/sandbox';
const SYSTEM = 'actors/system';
const HOST = 'actors/host';
const STEPS = `${SANDBOX}/steps`;
const DISK = 'drivers/disk/device-mapper';

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the loops of a disk are detached before its device is removed',
    scenario: 'a life',
    file: `${DISK}/detach.ts`,
    find: '  if (disk) await removeDevice(disk, ports, signal);\n  if (origin) await removeDevice(origin, ports, signal);\n  if (loops.length > 0) await detachLoops(ports, loops, signal);',
    replace:
      '  if (loops.length > 0) await detachLoops(ports, loops, signal);\n  if (disk) await removeDevice(disk, ports, signal);\n  if (origin) await removeDevice(origin, ports, signal);',
  },
  {
    name: 'the hold on the image is kept when its disk is detached',
    scenario: 'a life',
    file: `${DISK}/detach.ts`,
    find: '  await ports.origins.release(originName(device), signal);',
    replace: '',
  },
  {
    name: 'the vCPUs go on before what was saved of them is deleted',
    scenario: 'a clone',
    file: `${STEPS}/snapshot.ts`,
    find: '      await discardSave(pathsOf(context.id));\n      await vmm.thaw(vmOf(context), signal);',
    replace: '      await vmm.thaw(vmOf(context), signal);\n      await discardSave(pathsOf(context.id));',
  },
  {
    name: 'a resume deletes the snapshot before the sandbox runs',
    scenario: 'restarts',
    file: `${STEPS}/machine-life.ts`,
    find: '    await vmm.thaw(vmOf(context), signal);\n    const endpoint = await identifyGuest(',
    replace:
      '    if (stateDir === pathsOf(context.id).snapshot) await rm(stateDir, { recursive: true, force: true });\n    await vmm.thaw(vmOf(context), signal);\n    const endpoint = await identifyGuest(',
  },
  {
    name: 'the way back from a failed pause ends when the client hangs up',
    scenario: 'hang-ups',
    file: `${STEPS}/snapshot.ts`,
    find: "    name: 'thawVcpus',\n    direction: 'undo',",
    replace: "    name: 'thawVcpus',\n    direction: 'forward',",
  },
  {
    name: 'the ledger does not name what a step is about to acquire',
    scenario: 'a clone',
    file: `${SYSTEM}/next-record.ts`,
    find: '    ledger: recordAll(forget(before.ledger, cause.step?.released ?? []), acquired, nowMs),',
    replace:
      '    ledger: recordAll(forget(before.ledger, cause.step?.released ?? []), acquired.slice(1), nowMs),',
  },
  {
    name: 'a command that comes again is not known',
    scenario: 'a life',
    file: `${SYSTEM}/commands.ts`,
    find: '  if (remembered) {',
    replace: '  if (remembered && remembered.commandId === "") {',
  },
  {
    name: 'a start gives back the slots of machines that run',
    scenario: 'a clone',
    file: `${HOST}/host-parts.ts`,
    find: 'await drivers.network.start(holders, signal);',
    replace: 'await drivers.network.start(new Set(), signal);',
  },
  {
    name: 'timers are not armed again after a restart',
    scenario: 'times out',
    file: `${SYSTEM}/actor.ts`,
    find: '    for (const timer of Object.keys(this.record.timers)) this.#arm(timer);',
    replace: '',
  },
  {
    name: 'an event that the stream did not take is not sent again',
    scenario: 'a clone',
    file: `${SYSTEM}/outbox.ts`,
    find: '      if (!this.#closed) this.#retry = this.#clock.after(delayMs, () => this.#pump());',
    replace: '',
  },
  {
    name: 'a step that was interrupted is not run again',
    scenario: 'a clone',
    file: `${SYSTEM}/actor.ts`,
    find: '    for (const { invokeId, step } of activeSteps(this.#snapshot)) this.#start(invokeId, step);',
    replace:
      '    for (const { invokeId, step } of activeSteps(this.#snapshot)) if (this.hasTag("rest")) this.#start(invokeId, step);',
  },
  {
    name: 'a resumed guest keeps the token of its last run',
    scenario: 'a life',
    file: `${STEPS}/machine-life.ts`,
    find: '        { token: runToken(context, execution), nextToken: runToken(context, execution + 1) },',
    replace: '        { token: runToken(context, execution), nextToken: runToken(context, execution) },',
  },
  {
    name: 'a monitor that does not answer once ends its machine',
    scenario: 'a clone',
    file: `${STEPS}/machine-life.ts`,
    find: "        if (hasCode(error, 'VMM_GONE')) return false;",
    replace: '        if (error) return false;',
  },
  {
    name: 'a saved machine in the making that an earlier agent left is destroyed at once or never',
    scenario: 'a warming',
    file: `${HOST}/sandboxes.ts`,
    find: '    else if (internal && !input) this.#background(this.discard(sandbox));',
    replace:
      "    else if (internal && !input) this.#background(sandbox.command('destroy', {}, neverMind(ports)));",
  },
  {
    name: 'after a power cut the numbers of transitions begin where the journal ends',
    scenario: 'a clone',
    file: `${SYSTEM}/next-record.ts`,
    find: 'const POWER_CUT_GAP = 1_000;',
    replace: 'const POWER_CUT_GAP = 0;',
  },
  {
    name: 'a create is answered before a power cut would spare it',
    scenario: 'a clone',
    file: `${SANDBOX}/machine.ts`,
    find: "actions: [take, 'durable'] }",
    replace: 'actions: [take] }',
  },
  {
    name: 'a memory that the power took before it was on the disk is loaded',
    scenario: 'a clone',
    file: `${SANDBOX}/snapshot-meta.ts`,
    find: '  if (meta.boot_id === (await bootId())) return;',
    replace: '  if (meta.boot_id) return;',
  },
  {
    name: 'a memory that a power cut took is marked as synced afterwards',
    scenario: 'a clone',
    file: `${STEPS}/snapshot.ts`,
    find: '      if (meta?.boot_id !== (await bootId())) return {};',
    replace: '',
  },
  {
    name: 'a rollback that could not say that it succeeded has its machine stopped',
    scenario: 'hang-ups',
    file: `${STEPS}/machine-life.ts`,
    find: '      if (await vmm.find(context.id, run)) await readMeta(live);',
    replace: '',
  },
  {
    name: 'the folder of a sandbox that has ended is removed once or never',
    scenario: 'a warming',
    file: `${HOST}/sandboxes.ts`,
    find: '        await clock.sleep(TRY_AGAIN_MS, this.#stopping.signal);\n      }\n    }\n  }\n\n  /** An actor whose code failed',
    replace: '        throw error;\n      }\n    }\n  }\n\n  /** An actor whose code failed',
  },
  {
    name: 'the records keep a sandbox that no host knows',
    scenario: 'hang-ups',
    file: 'projector/projector.ts',
    find: '    findLostSandboxes({ ...options, signal }),',
    replace: '',
  },
  {
    name: 'a create that comes late makes a sandbox again that was destroyed',
    scenario: 'a life',
    file: `${HOST}/create.ts`,
    find: '  sandboxes.checkNew(body.sandbox_id);',
    replace: '',
  },
  {
    name: 'a thaw is tried once',
    scenario: 'hang-ups',
    file: `${SANDBOX}/machine.ts`,
    find: "{ guard: 'vmmGone', target: '#sandbox.crashed', actions: heading('crashing') },\n              'thawingAgain',",
    replace: "{ target: '#sandbox.crashed', actions: heading('crashing') },",
  },
  {
    name: 'a copy that fails leaves what was saved for it in a machine that runs',
    scenario: 'forks',
    file: `${SANDBOX}/machine.ts`,
    find: "            ...step('captureLive'),\n            onDone: 'thawing',\n            onError: { target: 'thawing', actions: fail },",
    replace:
      "            ...step('captureLive'),\n            onDone: 'thawing',\n            onError: { target: '#sandbox.running', actions: fail },",
  },
  {
    name: 'a memory that the power took before it was on the disk is copied',
    scenario: 'a snapshot',
    file: `${STEPS}/capture.ts`,
    find: '      if (capture.memory) await checkSynced(snapshot, await readMeta(snapshot));',
    replace: '',
  },
  {
    name: 'a larger disk is answered before a power cut would spare it',
    scenario: 'paused forks',
    file: `${SANDBOX}/machine.ts`,
    find: "              'durable',\n              { type: 'answer', params: ({ event })",
    replace: "              { type: 'answer', params: ({ event })",
  },
  {
    name: 'of forks of which one fails the others stay',
    scenario: 'forks',
    file: `${HOST}/fork.ts`,
    find: '  await discardAll(made, parts);',
    replace: '',
  },
  {
    name: 'a snapshot that comes again is not known',
    scenario: 'a snapshot',
    file: `${HOST}/snapshot.ts`,
    find: '    if (made) return await templates.details(made);',
    replace: '',
  },
  {
    name: 'a template is removed whose image carries disks',
    scenario: 'disks',
    file: `${HOST}/templates.ts`,
    find: '      if (users.length > 0)',
    replace: "      if (users.includes(''))",
  },
  {
    name: 'a template that was replaced stays when its last disk goes',
    scenario: 'disks',
    file: `${HOST}/leftovers.ts`,
    find: '    for (const name of await uploads.strays()) await uploads.removeStray(name);\n    await this.#removeTemplates();',
    replace: '    for (const name of await uploads.strays()) await uploads.removeStray(name);',
  },
  {
    name: 'the answer of a command that went on after a restart is kept from its caller',
    scenario: 'a clone',
    file: `${SYSTEM}/commands.ts`,
    find: '  const before = remembered?.fingerprint || callers.fingerprint(commandId);',
    replace: '  const before = remembered?.fingerprint ?? callers.fingerprint(commandId);',
  },
];

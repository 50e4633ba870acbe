import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import type { TemplateSpec } from '../../src/actors/host/template-protocol.ts';
import { type ForkRequest, SandboxOptions, type SnapshotRequest } from '../../src/actors/sandbox/protocol.ts';
import type { MachineCommand } from '../../src/actors/sandbox/sandbox.ts';
import { systemClock as clock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/config.ts';
import { DormouseError, toDormouseError } from '../../src/errors/index.ts';
import { letHappen } from '../../src/fault-injection.ts';
import { onFaultPoint } from '../../src/fault-points.ts';
import { DEFAULT_TEAM_ID, newCommandId, newUploadId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { pathsOf } from '../../src/paths.ts';
import { startHostCore } from '../../src/roles/host-core.ts';
import { lockDataDir } from '../../src/store/lock.ts';
import type { Asked, Fault } from './host-process.ts';

/**
 * A host as a process of its own, without a bus: it takes commands from the test that started it, and can be told to die, or
 * to lose a caller, at a point of its code. The host, its drivers and what they do are the product's own.
 */

const config = loadConfig();
const paths = pathsOf(config.dataDir);
const log = createLogger('host', config.logLevel, paths.log);
const never = new AbortController().signal;
const events = `${paths.root}/events`;

let fault: (Fault & { left: number }) | undefined;
let passed: string[] = [];
const callers = new Set<AbortController>();

onFaultPoint((point) => {
  passed.push(point);
  if (!fault || point !== fault.point) return;
  fault.left -= 1;
  if (fault.left > 0) return;
  const { action, always } = fault;
  if (!always) fault = undefined;
  if (action === 'cancel')
    for (const caller of callers) caller.abort(new DormouseError('CANCELLED', 'The caller went away.'));
  else letHappen(action, point);
});

// One that is killed would leave nothing for the next.
if (process.env.NODE_COMPILE_CACHE) flushCompileCache();
// Without the test there is nobody to tell it to stop.
process.once('disconnect', () => process.exit());
// Whoever starts hosts one after another has the next one loaded already.
if (process.env.DORMOUSE_TEST_STANDBY) await once(process, 'message');
await lockDataDir(paths);
const core = await startHostCore(
  { config, paths, clock, log, version: '0' },
  {
    // On disk before it counts as stored, as in a stream.
    sink: { append: async (event) => appendFileSync(events, `${JSON.stringify(event)}\n`) },
    output: () => {},
    appeared: () => {},
    vanished: () => {},
    settled: () => {},
  },
  (what) => log.info({}, what),
  never,
);

const asked: Record<Asked['op'], (body: Record<string, unknown>) => Promise<unknown>> = {
  async create({ id, ...options }) {
    return await call((context) =>
      core.host.create(
        {
          sandbox_id: String(id),
          team_id: DEFAULT_TEAM_ID,
          command_id: context.commandId,
          options: optionsOf(options),
        },
        context,
      ),
    );
  },
  command: async ({ id, name, body }) =>
    await call(async (context) => (await sandbox(id)).command(name as MachineCommand, body ?? {}, context)),
  exec: async ({ id, cmd }) =>
    await call(async (context) =>
      (await sandbox(id)).exec({ argv: ['/bin/sh', '-c', String(cmd)] }, context),
    ),
  snapshot: async ({ id, ...body }) =>
    await call(async (context) => core.host.snapshot(await sandbox(id), body as SnapshotRequest, context)),
  fork: async ({ id, ids }) =>
    await call(async (context) => core.host.fork(await sandbox(id), { ids } as ForkRequest, context)),
  deleteTemplate: async ({ name }) =>
    await core.host.deleteTemplate({ team_id: DEFAULT_TEAM_ID, name: String(name) }),
  async buildTemplate({ file, spec }) {
    return await call(async (context) => {
      const upload = { upload_id: newUploadId(), team_id: DEFAULT_TEAM_ID };
      await core.host.upload({
        ...upload,
        attempt: 'a',
        offset: 0,
        data: await readFile(String(file), 'base64'),
      });
      return await core.host.buildTemplate(
        {
          team_id: DEFAULT_TEAM_ID,
          spec: spec as TemplateSpec,
          source: { upload_id: upload.upload_id, format: 'auto' },
          overwrite: false,
        },
        context,
      );
    });
  },
  async view({ id }) {
    const found = core.host.sandboxes().find((one) => one.id === id);
    return found ? { ...found.view(), ledger: found.actor.record.ledger.map(({ kind }) => kind) } : null;
  },
  warm: async ({ vcpus, memory_mb }) =>
    await core.host.warm('minimal', { vcpus: Number(vcpus), memoryMb: Number(memory_mb) }),
  leaks: async () => [...(await core.host.leaks()), ...(await call((context) => core.loops.leaks(context)))],
  loops: async () => core.loops.list(),
  info: () => core.host.info(),
  async fault(next) {
    passed = [];
    fault = next.point ? { ...(next as unknown as Fault), left: Number(next.nth ?? 1) } : undefined;
  },
  passed: async () => passed,
  stop: async () => await core.close(),
};

process.on('message', ({ n, op, body }: Asked) => {
  asked[op](body).then(
    (value) => process.send?.({ n, value: value ?? null }),
    (error: unknown) => process.send?.({ n, error: toDormouseError(error).toRecord() }),
  );
});
process.send?.({ ready: true });

/** Calls with a context of its own, which a fault may abort. */
async function call<T>(
  run: (context: { commandId: string; deadlineMs: number; signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const caller = new AbortController();
  callers.add(caller);
  try {
    return await run({
      commandId: newCommandId(),
      deadlineMs: clock.nowMs() + 300_000,
      signal: caller.signal,
    });
  } finally {
    callers.delete(caller);
  }
}

async function sandbox(id: unknown) {
  const found = core.host.sandboxes().find((one) => one.id === id);
  if (!found) throw new Error(`there is no sandbox ${id}`);
  return found;
}

/** What a caller wants, with the protocol's own defaults. */
function optionsOf(wish: Record<string, unknown>) {
  const defaults = Object.fromEntries(
    Object.entries(SandboxOptions.properties).flatMap(([name, schema]) =>
      'default' in schema ? [[name, schema.default]] : [],
    ),
  );
  return { ...defaults, ...wish } as SandboxOptions;
}

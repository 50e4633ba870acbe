import { DormouseError } from '../../errors/index.ts';
import type { KernelFiles, SandboxContext } from '../sandbox/context.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { SandboxView } from '../sandbox/protocol.ts';
import type { CommandContext } from '../system/command.ts';
import type { ActorPorts } from '../system/ports.ts';
import type { Room } from './capacity.ts';
import { newIdentity } from './identity.ts';
import type { CreateSandbox } from './protocol.ts';
import type { Sandboxes } from './sandboxes.ts';
import { checkSizes, defaultsOf, sourceOf, type Template } from './template.ts';
import { notReadyBecause } from './template-commands.ts';
import type { Templates } from './templates.ts';
import type { WarmMaker } from './warm.ts';

export interface CreateParts {
  sandboxes: Sandboxes;
  templates: Templates;
  warm: WarmMaker;
  drivers: SandboxDrivers;
  room: Room;
  kernel: KernelFiles;
  ports: ActorPorts;
  hostId: string;
  /** Throws `HOST_DRAINING` when the host takes nothing new. */
  checkAccepting(): void;
}

/**
 * Makes a sandbox and answers when it runs. Asked again with the same sandbox id it answers for the one that is there.
 *
 * @throws `HOST_DRAINING`, `TEMPLATE_NOT_FOUND`, `TEMPLATE_NOT_READY`, `INVALID_SIZE`, `NO_HOST_AVAILABLE`, `DISK_FULL`, and what the
 * steps of creating throw; then nothing is left behind
 */
export async function createSandbox(
  body: CreateSandbox,
  context: CommandContext,
  parts: CreateParts,
): Promise<SandboxView> {
  const { sandboxes, templates, warm } = parts;
  const own = { ...context, commandId: body.command_id };
  const there = await sandboxes.get(body.sandbox_id);
  if (there) {
    if (there.context.teamId !== body.team_id)
      throw new DormouseError('SANDBOX_NOT_FOUND', `There is no sandbox ${body.sandbox_id}.`);
    return ((await there.actor.outcome(own)) ?? there.view()) as SandboxView;
  }
  sandboxes.checkNew(body.sandbox_id);
  parts.checkAccepting();
  const options: SandboxContext['options'] = { ...body.options, metadata: body.options.metadata ?? {} };
  const template = templates.get(body.team_id, options.template);
  checkSizes(template, options);
  const begun = parts.room.keep(options);
  try {
    // At once: a template that is found and not lent may be removed.
    return await templates.lend(template, body.sandbox_id, async () => {
      await parts.drivers.checkSpace();
      await makeReady(template, options, own.signal, warm);
      // Not begun once it was cancelled: whoever cancelled it may have taken its record back.
      own.signal.throwIfAborted();
      // While this was being checked, the same command may have come again.
      const sandbox = await (sandboxes.get(body.sandbox_id) ??
        sandboxes.create({
          id: body.sandbox_id,
          teamId: body.team_id,
          hostId: parts.hostId,
          options,
          createdAtMs: parts.ports.clock.nowMs(),
          ...sourceOf(template, options, parts.kernel),
          defaults: defaultsOf(template),
          ...newIdentity(),
          command: { id: body.command_id, name: 'create', deadlineMs: context.deadlineMs },
        }));
      begun();
      const view = ((await sandbox.actor.outcome(own)) ?? sandbox.view()) as SandboxView;
      if (sandbox.context.source.kind === 'image')
        void warm.want(template, { vcpus: options.vcpus, memoryMb: options.memory_mb });
      return view;
    });
  } finally {
    begun();
  }
}

/**
 * A start command runs on in every sandbox, so one of a template that has one is always the clone of a machine in which it runs:
 * waits until there is one of this shape.
 */
async function makeReady(
  template: Template,
  options: SandboxContext['options'],
  signal: AbortSignal,
  warm: WarmMaker,
): Promise<void> {
  if (template.file.start_cmd === null) return;
  const shape = { vcpus: options.vcpus, memoryMb: options.memory_mb };
  // Others may wait for the same one: it goes on when this caller goes away.
  const left = Promise.withResolvers<never>();
  const leave = (): void => left.reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([warm.make(template, shape), left.promise]);
  } catch (error) {
    signal.throwIfAborted();
    throw notReadyBecause(template.file.name, error);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

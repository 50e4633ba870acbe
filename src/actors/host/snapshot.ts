import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileError, renameDurably, syncFolder, syncPath } from '../../durable-file.ts';
import { newSandboxId } from '../../ids.ts';
import type { SandboxDrivers } from '../sandbox/drivers.ts';
import type { SnapshotRequest } from '../sandbox/protocol.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { markSynced } from '../sandbox/snapshot-meta.ts';
import type { CommandContext } from '../system/command.ts';
import type { ActorPorts } from '../system/ports.ts';
import type { Captures } from './captures.ts';
import type { ImageTools } from './image-tools.ts';
import type { Once } from './once.ts';
import { IMAGE_FILE, SNAPSHOT_FOLDER } from './template.ts';
import type { TemplateFile } from './template-file.ts';
import type { TemplateDetails } from './template-protocol.ts';
import type { Templates } from './templates.ts';

/** What templates are made of sandboxes with. */
export interface SnapshotParts {
  templates: Templates;
  captures: Pick<Captures, 'take'>;
  drivers: Pick<SandboxDrivers, 'checkSpace' | 'disk'>;
  images: Pick<ImageTools, 'shrink'>;
  once: Once;
  ports: ActorPorts;
}

/**
 * Makes a template from a running or paused sandbox, which goes on as it was. With memory it is a saved machine; without, an image of
 * its own, as small as its content, which is booted. A command that comes again is answered with the template that it made, as
 * long as that is here.
 *
 * @throws `SANDBOX_WRONG_STATE`, `TEMPLATE_EXISTS`, `DISK_FULL`, `IDEMPOTENCY_KEY_REUSED`, what copying and shrinking throw;
 * nothing is left then
 */
export async function snapshotSandbox(
  sandbox: Sandbox,
  request: SnapshotRequest,
  context: CommandContext,
  parts: SnapshotParts,
): Promise<TemplateDetails> {
  const { templates, once, drivers } = parts;
  return await once.run('snapshot', { sandbox: sandbox.id, ...request }, context, async () => {
    const made = templates.madeBy(context.commandId);
    if (made) return await templates.details(made);
    await drivers.checkSpace();
    const wish = { teamId: sandbox.context.teamId, name: request.name, overwrite: request.overwrite };
    return await templates.make(wish, async ({ id, dir }) => {
      await (request.memory ? saveMachine : saveDisk)(sandbox, dir, context, parts);
      return fileOf(sandbox, request, { id, commandId: context.commandId, nowMs: parts.ports.clock.nowMs() });
    });
  });
}

/** Makes the sandbox's memory and disk the template's saved machine, safe against a power cut. */
async function saveMachine(
  sandbox: Sandbox,
  templateDir: string,
  context: CommandContext,
  { captures, drivers }: SnapshotParts,
): Promise<void> {
  await captures.take(sandbox, { memory: true }, context, async (capture) => {
    const snapshot = path.join(templateDir, SNAPSHOT_FOLDER);
    await renameDurably(capture, snapshot);
    try {
      for (const name of await readdir(snapshot)) await syncPath(path.join(snapshot, name));
      await drivers.disk.sync(snapshot);
    } catch (error) {
      throw fileError(snapshot, error);
    }
    await markSynced(snapshot);
  });
}

/** Makes the sandbox's disk the template's image. */
async function saveDisk(
  sandbox: Sandbox,
  templateDir: string,
  context: CommandContext,
  parts: SnapshotParts,
): Promise<void> {
  await imageOfSandbox(sandbox, path.join(templateDir, IMAGE_FILE), context, parts);
}

/**
 * Writes the sandbox's disk as an image that needs no other, as small as its content allows, durably.
 *
 * @throws what `capture`, `flatten` and `shrink` throw
 */
export async function imageOfSandbox(
  sandbox: Sandbox,
  imagePath: string,
  context: CommandContext,
  { captures, drivers, images }: Pick<SnapshotParts, 'captures' | 'drivers' | 'images'>,
): Promise<void> {
  await captures.take(sandbox, { memory: false }, context, async (capture) => {
    // An id of its own: under the sandbox's, the disk would be read that it is writing to.
    const copy = { sandboxId: newSandboxId(), dir: capture };
    await drivers.disk.flatten(copy, imagePath, context.signal);
  });
  await images.shrink(imagePath, context.signal);
  await syncFolder(path.dirname(imagePath));
}

/** What the template says of itself: sizes and defaults are the sandbox's. What its start command made is in it already. */
function fileOf(
  { id: sandboxId, context }: Sandbox,
  { name, memory }: SnapshotRequest,
  { id, commandId, nowMs }: { id: string; commandId: string; nowMs: number },
): TemplateFile {
  const { options, defaults = {}, teamId } = context;
  return {
    v: 2,
    id,
    team_id: teamId,
    name,
    kind: 'snapshot',
    memory,
    vcpus: options.vcpus,
    memory_mb: options.memory_mb,
    disk_size_mb: options.disk_size_mb,
    created_at: new Date(nowMs).toISOString(),
    user: defaults.user ?? null,
    cwd: defaults.cwd ?? null,
    env: defaults.env ?? {},
    start_cmd: null,
    ready_cmd: null,
    source_sandbox_id: sandboxId,
    command_id: commandId,
  };
}

import { isGone, ResizeRequest, sandboxCommands } from '../../actors/sandbox/protocol.ts';
import { hasCode } from '../../errors/index.ts';
import { CommandHeaders, goesOnAlone, SandboxPath, sendCommand } from '../commands.ts';
import { ASKING, BODY, COMMANDS, KEYED } from '../error-sets.ts';
import { type OwnSandbox, sandboxNotFound, sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentSandbox } from '../present.ts';
import { ref } from '../schemas.ts';

/** Changes of what a sandbox is: the size of its disk. */
export function addResizeRoute(app: EdgeApp, ports: EdgePorts): void {
  const { records } = ports;
  const { resize } = sandboxCommands;
  app.patch(
    '/v1/sandboxes/:id',
    {
      schema: {
        operationId: 'resizeSandbox',
        summary: resize.summary,
        description:
          'The guest sees the new size when the sandbox runs again. A size below the present one is refused, with both numbers.',
        tags: ['Sandboxes'],
        params: SandboxPath,
        headers: CommandHeaders,
        body: ResizeRequest,
        response: { 200: ref('Sandbox') },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'sandbox',
          errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, 'INVALID_SIZE', 'QUOTA_EXCEEDED'],
        },
      },
    },
    async (request) => {
      const sandbox = sandboxOf(request);
      const known = await records.findSandbox(sandbox.teamId, sandbox.id);
      if (!known || isGone(known)) throw sandboxNotFound();
      const { disk_size_mb } = request.body;
      // What is not larger takes nothing of the quota. The sandbox itself says whether it is possible.
      const isLarger = disk_size_mb > known.disk_size_mb;
      if (isLarger) await records.reserveDisk(sandbox.teamId, sandbox.id, disk_size_mb);
      try {
        return presentSandbox(await sendCommand(ports, request, resize, request.body));
      } catch (error) {
        // What may be growing now counts as grown; the answer to the same request, sent again, gives it back.
        if (isLarger && !goesOnAlone(request))
          await release(ports, sandbox, { reservedMb: disk_size_mb, beforeMb: known.disk_size_mb }, error);
        throw error;
      }
    },
  );
}

/**
 * Counts a sandbox's disk as large as it is, after a resize that failed, or of which nobody knows how it ended. A sandbox
 * that does not say its size keeps what was reserved: it may have taken it.
 */
async function release(
  { bus, records, log }: EdgePorts,
  { teamId, id, subject }: OwnSandbox,
  { reservedMb, beforeMb }: { reservedMb: number; beforeMb: number },
  failure: unknown,
): Promise<void> {
  const { get } = sandboxCommands;
  try {
    // Nobody took the command.
    const nothingDone = hasCode(failure, 'HOST_UNREACHABLE');
    const diskSizeMb = nothingDone
      ? beforeMb
      : (await bus.request(`${subject}.${get.name}`, get, {})).disk_size_mb;
    await records.releaseDisk(teamId, id, { reservedMb, diskSizeMb });
  } catch (error) {
    log.warn({ err: error, sandbox: id }, 'a reservation of disk stays');
  }
}

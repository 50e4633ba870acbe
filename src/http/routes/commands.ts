import { sandboxCommands } from '../../actors/sandbox/protocol.ts';
import { CommandHeaders, SandboxPath, sendCommand } from '../commands.ts';
import { ASKING, BODY, COMMANDS, KEYED, STEPS } from '../error-sets.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { presentSandbox } from '../present.ts';
import { ref } from '../schemas.ts';

const { pause, resume, restart, ping } = sandboxCommands;

/** The commands that lead a sandbox to another state or extend its time, and answer with the sandbox. */
export function addCommandRoutes(app: EdgeApp, ports: EdgePorts): void {
  for (const command of [pause, resume, restart, ping]) {
    app.post(
      `/v1/sandboxes/:id/${command.name}`,
      {
        schema: {
          operationId: `${command.name}Sandbox`,
          summary: command.summary,
          tags: ['Sandboxes'],
          params: SandboxPath,
          headers: CommandHeaders,
          body: command.request,
          response: { 200: ref('Sandbox') },
        },
        config: {
          rules: {
            scope: 'write',
            owner: 'sandbox',
            errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, ...STEPS],
          },
        },
      },
      async (request) => presentSandbox(await sendCommand(ports, request, command, request.body)),
    );
  }
}

import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import { sandboxCommands } from '../../actors/sandbox/protocol.ts';
import { DormouseError } from '../../errors/index.ts';
import { CommandHeaders, commandIdOf, SandboxPath, sendCommand } from '../commands.ts';
import { ASKING, BODY, COMMANDS, EXEC, KEYED, STEPS } from '../error-sets.ts';
import { streamExec } from '../exec-stream.ts';
import { acceptsLines, NDJSON_TYPE } from '../line-stream.ts';
import { problemFor } from '../plugins/errors.ts';
import { sandboxOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { ref } from '../schemas.ts';

const { exec } = sandboxCommands;

/** Largest body, in bytes: standard input at its limit as base64, with room for arguments and environment. */
const BODY_BYTES_MAX = 6 * 1024 * 1024;
/** What an exec may take beside the program itself, such as waking the sandbox, in milliseconds. */
const SLACK_MS = 30_000;

/** Runs a program in a sandbox. With `Accept: application/x-ndjson` its output comes while it runs. */
export function addExecRoute(app: EdgeApp, ports: EdgePorts): void {
  const { bus, clock } = ports;
  app.post(
    `/v1/sandboxes/:id/${exec.name}`,
    {
      bodyLimit: BODY_BYTES_MAX,
      schema: {
        operationId: 'execInSandbox',
        summary: exec.summary,
        description:
          'With `Accept: application/x-ndjson` the answer is one JSON document a line: `{"stream", "data", "encoding"}` ' +
          'while the program runs, empty lines while it says nothing, and last `{"result"}` with the whole reply or ' +
          '`{"error"}` with a problem. When it fails before its first output, the answer is a problem with its status.',
        tags: ['Sandboxes'],
        params: SandboxPath,
        headers: CommandHeaders,
        body: exec.request,
        response: {
          200: {
            description: 'The program ended, or was killed when its time was over.',
            content: {
              'application/json': { schema: ref('ExecReply') },
              [NDJSON_TYPE]: { schema: Type.Unsafe<Readable>({ type: 'string' }) },
            },
          },
        },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'sandbox',
          errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, ...EXEC, ...STEPS],
        },
      },
    },
    async (request, reply) => {
      const { body } = request;
      if ((body.cmd === undefined) === (body.argv === undefined))
        throw new DormouseError(
          'INVALID_REQUEST',
          'Give exactly one of "cmd" (a shell command) and "argv" (a program and its arguments).',
          { data: { field: 'cmd' } },
        );
      const commandId = commandIdOf(request, sandboxOf(request).id, exec);
      const run = () =>
        sendCommand(ports, request, exec, body, {
          commandId,
          ...(body.timeout_s !== undefined && {
            deadlineMs: clock.nowMs() + Math.ceil(body.timeout_s * 1000) + SLACK_MS,
          }),
        });
      if (!acceptsLines(request)) return await run();
      const lines = await streamExec({ bus, clock, problemOf: problemFor(request) }, commandId, run);
      return reply.type(NDJSON_TYPE).send(lines);
    },
  );
}

import { type Command, InvalidArgumentError } from 'commander';
import { Type } from 'typebox';
import { defineCommand } from '../../actors/system/command.ts';
import { withBus } from '../bus.ts';
import { seconds, withExamples, withJson } from '../options.ts';
import { print, printJson } from '../output.ts';

const DEFAULT_TIMEOUT_S = 130;

/** Any request: the responder is the one that checks it. */
const anyCommand = defineCommand({
  name: 'request',
  summary: 'Any request to any responder.',
  request: Type.Object({}),
  reply: Type.Unknown(),
  defaultTimeoutMs: DEFAULT_TIMEOUT_S * 1000,
});

/** `dormouse nats-req <subject> [json]`: what `nats req` does, where the `nats` program is not installed. */
export function addNatsReqCommand(program: Command): void {
  const command = program
    .command('nats-req')
    .description('send a request to an actor over NATS and print its reply, as `nats req` does')
    .argument('<subject>', 'such as dormouse.sandbox.<team>.<id>.pause', subject)
    .argument('[json]', 'body of the request, an object', jsonObject, {})
    .option('--timeout-s <n>', `seconds to wait for the reply (${DEFAULT_TIMEOUT_S} when absent)`, seconds)
    .action(
      async (to: string, body: Record<string, unknown>, options: { timeoutS?: number; json?: boolean }) => {
        const timeoutMs = (options.timeoutS ?? DEFAULT_TIMEOUT_S) * 1000;
        const reply = await withBus((bus, clock) =>
          bus.request(to, anyCommand, body, { deadlineMs: clock.nowMs() + timeoutMs }),
        );
        if (options.json) printJson(reply);
        else print(JSON.stringify(reply, undefined, 2));
      },
    );
  withJson(command, 'print the reply as one line');
  withExamples(command, [
    ["dormouse nats-req dormouse.sandbox.<team>.<id>.pause '{}'", 'what POST /v1/sandboxes/<id>/pause does'],
    ['dormouse nats-req dormouse.host.<host>.info', 'no body stands for {}'],
    ['dormouse nats-req $SRV.INFO', 'who listens (quote the $)'],
  ]);
  command.addHelpText('after', '\nThe server is NATS_URL, else the one that runs on the data directory.');
}

function subject(text: string): string {
  if (!/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(text))
    throw new InvalidArgumentError('It must be a subject without wildcards.');
  return text;
}

function jsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`It is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidArgumentError('It must be a JSON object, such as {}.');
  return value as Record<string, unknown>;
}

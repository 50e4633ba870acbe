import type { JsMsg } from '@nats-io/jetstream';
import { SandboxTransition } from '../actors/sandbox/protocol.ts';
import type { Logger } from '../log.ts';
import { decodeBody } from './envelope.ts';
import { problemsOf } from './schema.ts';

/** The event in a message of the stream. Undefined, and logged, when it is not one of this version. */
export function transitionIn(message: JsMsg, log: Logger): SandboxTransition | undefined {
  try {
    const body = decodeBody(message.data);
    const problems = problemsOf(SandboxTransition, body);
    if (problems.length === 0) return body as SandboxTransition;
    log.error({ streamSeq: message.seq, problems }, 'an event does not fit its schema and is skipped');
  } catch (error) {
    log.error({ streamSeq: message.seq, err: error }, 'an event is not readable and is skipped');
  }
  return undefined;
}

import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { Type } from 'typebox';
import type { Command, CommandContext } from '../actors/system/command.ts';
import { DormouseError, type ErrorRecord } from '../errors/index.ts';
import { COMMAND_ID_PATTERN, newCommandId } from '../ids.ts';
import { describeProblems, problemsOf } from './schema.ts';

/**
 * How a command, its answer and an error are written into a NATS message. Bodies are JSON; what travels beside a body
 * is in headers. All headers are optional, so `nats req <subject> '{}'` is a complete command.
 */
export const DEADLINE_HEADER = 'Dormouse-Deadline';
export const COMMAND_ID_HEADER = 'Dormouse-Command-Id';
/** W3C Trace Context. */
export const TRACEPARENT_HEADER = 'traceparent';
/** The headers by which NATS tools tell an error from an answer (NATS ADR-32). */
export const ERROR_HEADER = 'Nats-Service-Error';
export const ERROR_CODE_HEADER = 'Nats-Service-Error-Code';

/** What travels beside a command's body. */
export type RequestMeta = Omit<CommandContext, 'signal'>;

const commandIdForm = new RegExp(COMMAND_ID_PATTERN);
const traceparentForm = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const deadlineForm = /^\d{1,16}$/;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const ErrorRecordSchema = Type.Object({
  code: Type.String(),
  detail: Type.String(),
  data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  causes: Type.Optional(Type.Array(Type.String())),
});

export function encodeMeta(meta: RequestMeta): MsgHdrs {
  const written = headers();
  written.set(DEADLINE_HEADER, String(Math.round(meta.deadlineMs)));
  written.set(COMMAND_ID_HEADER, meta.commandId);
  if (meta.traceparent && traceparentForm.test(meta.traceparent)) {
    written.set(TRACEPARENT_HEADER, meta.traceparent);
  }
  return written;
}

/**
 * What came beside a body; what is absent is filled in: a new command id, the command's own time from now.
 *
 * @throws `INVALID_REQUEST` when a header is there but not of its form
 */
export function decodeMeta(received: MsgHdrs | undefined, command: Command, nowMs: number): RequestMeta {
  const commandId = received?.get(COMMAND_ID_HEADER) || newCommandId();
  if (!commandIdForm.test(commandId)) {
    throw new DormouseError(
      'INVALID_REQUEST',
      `The header ${COMMAND_ID_HEADER} must match ${COMMAND_ID_PATTERN}.`,
    );
  }
  const deadline = received?.get(DEADLINE_HEADER);
  if (deadline && !deadlineForm.test(deadline)) {
    throw new DormouseError(
      'INVALID_REQUEST',
      `The header ${DEADLINE_HEADER} must be a time in milliseconds since the epoch.`,
    );
  }
  const traceparent = received?.get(TRACEPARENT_HEADER);
  return {
    commandId,
    deadlineMs: deadline ? Number(deadline) : nowMs + command.defaultTimeoutMs,
    traceparent: traceparent && traceparentForm.test(traceparent) ? traceparent : undefined,
  };
}

export function encodeBody(body: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(body));
}

/**
 * The value of a body; no bytes at all stand for `{}`.
 *
 * @throws `MALFORMED_JSON` when it is not JSON in UTF-8
 */
export function decodeBody(data: Uint8Array): unknown {
  if (data.length === 0) return {};
  try {
    return JSON.parse(decoder.decode(data));
  } catch (cause) {
    throw new DormouseError('MALFORMED_JSON', 'The body of the message is not JSON in UTF-8.', { cause });
  }
}

/** @throws `INVALID_REQUEST` with `data.problems` when the body does not fit the command's schema */
export function checkRequest(command: Command, body: unknown): void {
  const problems = problemsOf(command.request, body);
  if (problems.length > 0) {
    throw new DormouseError('INVALID_REQUEST', `${command.name}: ${describeProblems(problems)}`, {
      data: { problems },
    });
  }
}

/** @throws `BAD_REPLY` with `data.problems` when the reply does not fit the command's schema */
export function checkReply(command: Command, reply: unknown): void {
  const problems = problemsOf(command.reply, reply);
  if (problems.length > 0) {
    throw new DormouseError(
      'BAD_REPLY',
      `The reply to ${command.name} is wrong: ${describeProblems(problems)}`,
      {
        data: { problems },
      },
    );
  }
}

/** An error as the two standard headers, for people and tools, and the whole record as the body, for our own callers. */
export function encodeError(error: DormouseError): { data: Uint8Array; headers: MsgHdrs } {
  const written = headers();
  written.set(ERROR_CODE_HEADER, String(error.status));
  written.set(ERROR_HEADER, headerText(error.message));
  return { data: encodeBody(error.toRecord()), headers: written };
}

/** The error that a reply carries, or undefined when it is an answer. */
export function decodeError(received: MsgHdrs | undefined, data: Uint8Array): DormouseError | undefined {
  const status = received?.get(ERROR_CODE_HEADER);
  if (!received || !status) return undefined;
  try {
    const record = decodeBody(data);
    if (problemsOf(ErrorRecordSchema, record).length === 0)
      return DormouseError.fromRecord(record as ErrorRecord);
  } catch {
    // A responder of another make: its headers say what there is to say.
  }
  return new DormouseError(
    'INTERNAL',
    `The responder failed with status ${status}: ${received.get(ERROR_HEADER)}`,
  );
}

const HEADER_TEXT_CHARS = 200;

/** A header is one short line of printable ASCII. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, HEADER_TEXT_CHARS);
}

import type { Static, TObject, TSchema } from 'typebox';

/**
 * One command of an actor's protocol. The schemas are the single source for validation on both ends of the bus, for
 * the HTTP routes' schemas, for OpenAPI and for the reference documentation.
 */
export interface Command<Request extends TObject = TObject, Reply extends TSchema = TSchema> {
  /** Last token of the subject: `dormouse.sandbox.<team>.<id>.<name>`. */
  readonly name: string;
  /** One sentence for documentation. */
  readonly summary: string;
  readonly request: Request;
  readonly reply: Reply;
  /** How long a caller waits when it names no deadline, in milliseconds. */
  readonly defaultTimeoutMs: number;
}

export type RequestOf<C extends Command> = Static<C['request']>;
export type ReplyOf<C extends Command> = Static<C['reply']>;

/** Types a command literal; does nothing at run time. */
export function defineCommand<Request extends TObject, Reply extends TSchema>(
  command: Command<Request, Reply>,
): Command<Request, Reply> {
  return command;
}

/** What travels beside a command's body. On the bus these are headers. */
export interface CommandContext {
  /** Makes a command that arrives twice be done once. */
  commandId: string;
  /** When the caller stops waiting, in milliseconds since the epoch. */
  deadlineMs: number;
  /** W3C trace context, as it came. */
  traceparent?: string | undefined;
  /** Aborts when the deadline passes or the caller says that it has gone. Forward work may stop; undo never does. */
  signal: AbortSignal;
}

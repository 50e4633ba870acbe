import { catalogue, type ErrorAnswer, type ErrorCode, isErrorCode } from './catalogue.ts';

/** Plain data that tells the caller more: `{ state, allowed }` of a wrong state, `{ field }` of a bad request. */
export type ErrorData = Readonly<Record<string, unknown>>;

/** The form of an error in a journal, in an event and on the bus. */
export interface ErrorRecord {
  code: ErrorCode;
  /** What happened, why, and what to do, for a person. Safe to show to the caller. */
  detail: string;
  data?: ErrorData;
  /** Messages of the causes, outermost first. For logs and histories; an error that is answered over HTTP does not have them. */
  causes?: string[];
}

/**
 * The one error class. Errors are values with a code of the catalogue; what differs between two of them is data, not a class.
 *
 * @param code an entry of the catalogue: fixes HTTP status and whether a retry can help
 * @param detail what happened, why, and what to do; never repeats the cause's message
 * @param options.data plain data for programs
 * @param options.cause the error underneath, kept for the log
 */
export class DormouseError extends Error {
  override readonly name = 'DormouseError';
  readonly code: ErrorCode;
  readonly detail: string;
  readonly data: ErrorData | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    options: { data?: ErrorData | undefined; cause?: unknown } = {},
  ) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = detail;
    this.data = options.data;
  }

  /** HTTP status of the code. */
  get status(): number {
    return catalogue[this.code].status;
  }

  /** What the caller can do: `refused`, `retry` or `stuck`. */
  get answer(): ErrorAnswer {
    return catalogue[this.code].answer;
  }

  /** Plain form for journal, event and bus. `fromRecord` reads it back. */
  toRecord(): ErrorRecord {
    const record: ErrorRecord = { code: this.code, detail: this.detail };
    if (this.data) record.data = this.data;
    const causes = causeMessages(this.cause);
    if (causes.length > 0) record.causes = causes;
    return record;
  }

  /** The error again from its plain form. An unknown code (a newer peer) becomes `INTERNAL` with the code in the detail. */
  static fromRecord(record: {
    code: string;
    detail: string;
    data?: ErrorData;
    causes?: string[];
  }): DormouseError {
    const cause = record.causes?.reduceRight<Error | undefined>(
      (inner, message) => new Error(message, inner && { cause: inner }),
      undefined,
    );
    if (isErrorCode(record.code))
      return new DormouseError(record.code, record.detail, { data: record.data, cause });
    return new DormouseError('INTERNAL', `${record.code}: ${record.detail}`, { data: record.data, cause });
  }
}

/** Any thrown value as a `DormouseError`: itself if it is one, else wrapped once under `code` with `detail`. */
export function toDormouseError(
  thrown: unknown,
  code: ErrorCode = 'INTERNAL',
  detail?: string,
): DormouseError {
  if (thrown instanceof DormouseError) return thrown;
  return new DormouseError(code, detail ?? messageOf(thrown), { cause: detail ? thrown : undefined });
}

/** True when `thrown` is a `DormouseError` with this code. */
export function hasCode(thrown: unknown, code: ErrorCode): thrown is DormouseError {
  return thrown instanceof DormouseError && thrown.code === code;
}

/** True when the same request may succeed later, so that its outcome is none that may be kept. */
export function mayRetry(thrown: unknown): boolean {
  return thrown instanceof DormouseError && thrown.answer === 'retry';
}

/** The message of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

const MAX_CAUSES = 8;

function causeMessages(cause: unknown): string[] {
  const messages: string[] = [];
  for (let at: unknown = cause; at !== undefined && messages.length < MAX_CAUSES; ) {
    messages.push(messageOf(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return messages;
}

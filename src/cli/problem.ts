import { catalogue, DormouseError, toDormouseError } from '../errors/index.ts';
import { paintError } from './output.ts';
import { printable } from './table.ts';

/** A problem document (RFC 9457) as the server sends it; further members tell more. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  [member: string]: unknown;
}

/** The server's refusal, kept as it came: a newer server has codes and members that this program does not know. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** Any thrown value as a problem document. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof ProblemError) return thrown.problem;
  const { code, status, detail, data, answer } = toDormouseError(thrown);
  return {
    ...data,
    type: `urn:dormouse:error:${code}`,
    title: catalogue[code].title,
    status,
    detail,
    code,
    retryable: answer === 'retry',
  };
}

/** True when `thrown` is an error with this code, from the server or our own. */
export function hasProblemCode(thrown: unknown, code: string): boolean {
  return (
    (thrown instanceof ProblemError || thrown instanceof DormouseError) && problemOf(thrown).code === code
  );
}

/** A problem for a person: what happened, why, and what the sandbox takes now. */
export function describeProblem(problem: Problem): string[] {
  const lines = [`${paintError('red', 'error:')} ${printable(problem.title)} (${printable(problem.code)})`];
  if (problem.detail !== problem.title) lines.push(`  ${printable(problem.detail)}`);
  if (typeof problem.state === 'string') lines.push(`  state: ${printable(problem.state)}`);
  if (Array.isArray(problem.allowed))
    lines.push(`  allowed now: ${printable(problem.allowed.join(', ') || 'nothing')}`);
  if (problem.retryable === true) lines.push('  The same command may succeed later.');
  return lines;
}

import { type Command, InvalidArgumentError } from 'commander';
import { SANDBOX_STATES, type SandboxState } from '../actors/sandbox/protocol.ts';
import { HOST_ID_PATTERN, isSandboxId, TEAM_ID_PATTERN, TEMPLATE_NAME_PATTERN } from '../ids.ts';
import type { Scope } from '../records/types.ts';

/** Readers of options and arguments. What they refuse is a mistake of usage: status 2, before anything is sent. */

/** What `--json` gives. */
export interface JsonOption {
  json?: boolean;
}

/** Adds `--json`. */
export function withJson(command: Command, what = 'print the answer as one JSON document'): Command {
  return command.option('--json', what);
}

/** Adds examples to a command's help: lines of `[command line, what it does]`. */
export function withExamples(command: Command, examples: ReadonlyArray<readonly [string, string]>): Command {
  const lines = examples.flatMap(([line, meaning]) => [`  # ${meaning}`, `  $ ${line}`]);
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

/** A whole number, not negative. Its range is checked by the server, which knows it. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** A number of seconds above zero, fractions allowed. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || !(value > 0))
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return value;
}

/** Collects `KEY=VALUE`, given any number of times. */
export function keyValue(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be KEY=VALUE.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Collects states, separated by commas or given any number of times. */
export function states(text: string, before: SandboxState[] = []): SandboxState[] {
  const known = new Set<string>(SANDBOX_STATES);
  const named = text.split(',');
  const wrong = named.filter((state) => !known.has(state));
  if (wrong.length > 0)
    throw new InvalidArgumentError(
      `There is no state ${wrong.join(', ')}; there are ${SANDBOX_STATES.join(', ')}.`,
    );
  return [...before, ...(named as SandboxState[])];
}

/** The id of a sandbox: it becomes a part of an address. */
export function sandboxId(text: string): string {
  if (!isSandboxId(text))
    throw new InvalidArgumentError(
      'It must be a sandbox id, such as sb-abcdefghij2345678abc: `dormouse sandbox list` shows them.',
    );
  return text;
}

/** As `sandboxId`, for any number of them; naming one twice is naming it once. */
export function sandboxIds(text: string, before: string[] = []): string[] {
  return [...new Set([...before, sandboxId(text)])];
}

const hostIdForm = new RegExp(HOST_ID_PATTERN);

/** The id of a host: it becomes a part of a subject. */
export function hostId(text: string): string {
  if (!hostIdForm.test(text))
    throw new InvalidArgumentError('It must be a host id: `dormouse host list` shows them.');
  return text;
}

const templateNameForm = new RegExp(TEMPLATE_NAME_PATTERN);

/** The name of a template: it becomes a part of an address. */
export function templateName(text: string): string {
  if (!templateNameForm.test(text))
    throw new InvalidArgumentError(
      'It must be a name of small letters, digits, dots, dashes and underscores, such as python-3.12.',
    );
  return text;
}

const uuidForm = new RegExp(TEAM_ID_PATTERN);

/** The id of a team or of a key. */
export function uuid(text: string): string {
  if (!uuidForm.test(text))
    throw new InvalidArgumentError('It must be an id such as 00000000-0000-4000-8000-000000000001.');
  return text;
}

/** A key that names a request: it becomes a header. */
export function idempotencyKey(text: string): string {
  if (!/^[\x21-\x7e]{1,255}$/.test(text))
    throw new InvalidArgumentError(
      'It must be at most 255 letters, digits and signs of ASCII, without spaces.',
    );
  return text;
}

/** A limit of a quota: a whole number, or `none`. */
export function limit(text: string): number | 'none' {
  return text === 'none' ? text : wholeNumber(text);
}

const SCOPES: readonly Scope[] = ['read', 'write', 'admin'];

/** Collects scopes, separated by commas or given any number of times. */
export function scopes(text: string, before: Scope[] = []): Scope[] {
  const named = text.split(',');
  const wrong = named.filter((scope) => !(SCOPES as readonly string[]).includes(scope));
  if (wrong.length > 0)
    throw new InvalidArgumentError(`There is no scope ${wrong.join(', ')}; there are ${SCOPES.join(', ')}.`);
  return [...new Set([...before, ...(named as Scope[])])];
}

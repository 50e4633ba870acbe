import path from 'node:path';
import { DormouseError, messageOf } from '../errors/index.ts';
import { isLoopback } from '../loopback.ts';
import { type Variable, type VariableKey, variables } from './variables.ts';

type ValueOf<V extends Variable> = V['kind'] extends 'integer'
  ? number
  : V['kind'] extends 'boolean'
    ? boolean
    : V extends { choices: readonly (infer C)[] }
      ? C
      : string;

/** All settings, checked and typed. Optional ones without a fallback are `undefined` when they were not set. */
export type Config = {
  readonly [K in VariableKey]: (typeof variables)[K]['fallback'] extends undefined
    ? ValueOf<(typeof variables)[K]> | undefined
    : ValueOf<(typeof variables)[K]>;
};

/**
 * Reads the settings from an environment.
 *
 * @throws `CONFIG_INVALID` that names every wrong variable, its value unless that may be secret, and what would be right, and
 * every variable that begins with `DORMOUSE_` but is not known (a misspelled one is silent otherwise)
 */
export function loadConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, variable] of Object.entries(variables) as Array<[VariableKey, Variable]>) {
    const text = givenText(variable, environment) || variable.fallback;
    if (text === undefined) continue;
    const value = parse(variable, text);
    if (value instanceof Error) problems.push(`${shown(variable, text)}: ${value.message}`);
    else values[key] = value;
  }
  const { auth, httpHost } = values as Partial<Config>;
  if (auth === 'none' && httpHost !== undefined && !isLoopback(httpHost))
    problems.push(
      `DORMOUSE_AUTH=none: everybody who can reach ${httpHost} could do everything; it goes with DORMOUSE_HTTP_HOST=127.0.0.1 only`,
    );
  problems.push(...natsProblems(values as Partial<Config>));
  const known = new Set<string>(Object.values(variables).map((variable) => variable.name));
  for (const name of Object.keys(environment)) {
    // DORMOUSE_TEST_* belongs to the test-suite.
    if (name.startsWith('DORMOUSE_') && !known.has(name) && !name.startsWith('DORMOUSE_TEST_'))
      problems.push(`${name}: there is no such setting`);
  }
  if (problems.length > 0) {
    throw new DormouseError(
      'CONFIG_INVALID',
      `${problems.join('; ')}. \`dormouse up --help\` lists the settings.`,
      { data: { problems } },
    );
  }
  return values as Config;
}

/** Settings of NATS that do nothing without another one. */
function natsProblems({ natsUrl, natsSeedFile, natsCa, natsCert, natsKey }: Partial<Config>): string[] {
  const { natsSeedFile: seed, natsCa: ca, natsCert: cert, natsKey: key, natsUrl: url } = variables;
  const problems: string[] = [];
  if ((natsCert === undefined) !== (natsKey === undefined))
    problems.push(`${cert.name} and ${key.name} go together: set both or none`);
  const given = [
    ...(natsSeedFile === undefined ? [] : [seed.name]),
    ...(natsCa === undefined ? [] : [ca.name]),
    ...(natsCert === undefined ? [] : [cert.name]),
  ];
  if (natsUrl === undefined && given.length > 0)
    problems.push(`${given.join(', ')}: for a server that ${url.name} names, and that is not set`);
  return problems;
}

/** Around an address or a secret there is white space when it was read from a file: it does not belong to it. */
function givenText(
  variable: Variable,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const text = environment[variable.name];
  return variable.kind === 'url' || variable.isSecret ? text?.trim() : text;
}

/** The setting in a message. An address may have a password in it. */
function shown({ name, kind, isSecret }: Variable, text: string): string {
  return kind === 'url' || isSecret ? name : `${name}=${JSON.stringify(text)}`;
}

function parse(variable: Variable, text: string): unknown {
  switch (variable.kind) {
    case 'integer': {
      const value = Number(text);
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = variable;
      if (!/^-?\d+$/.test(text) || value < min || value > max)
        return new Error(`must be a whole number from ${min} to ${max}`);
      return value;
    }
    case 'boolean':
      return text === '1' || text === 'true'
        ? true
        : text === '0' || text === 'false'
          ? false
          : new Error('must be true or false');
    case 'choice':
      return variable.choices?.includes(text)
        ? text
        : new Error(`must be one of ${variable.choices?.join(', ')}`);
    case 'path':
      return path.resolve(text);
    case 'url':
    case 'string':
      if (variable.pattern !== undefined && !new RegExp(variable.pattern).test(text))
        return new Error(`must have the form ${variable.pattern}`);
      try {
        variable.check?.(text);
        return text;
      } catch (error) {
        return new Error(messageOf(error));
      }
  }
}

/** The settings as lines for `--help` and the README: name, default, meaning. */
export function describeVariables(): Array<{ name: string; fallback: string; help: string }> {
  return (Object.values(variables) as Variable[])
    .filter((variable) => !variable.hidden)
    .map((variable) => ({
      name: variable.name,
      fallback: variable.fallback ?? '',
      help: variable.choices ? `${variable.help} (${variable.choices.join(', ')})` : variable.help,
    }));
}

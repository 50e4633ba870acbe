import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

/** One thing that is wrong with a value: where (a JSON pointer, empty for the whole) and what. */
export interface Problem {
  path: string;
  message: string;
}

/** A caller that sends nonsense gets the first few of its mistakes, not a message of any length. */
const MAX_PROBLEMS = 8;

/** Compiling costs half a millisecond or more; each schema is compiled when it is first used. */
const validators = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = validators.get(schema);
  if (!validator) {
    validator = Compile(schema);
    validators.set(schema, validator);
  }
  return validator;
}

/** What is wrong with `value`, at most eight problems; an empty list when it fits the schema. */
export function problemsOf(schema: TSchema, value: unknown): Problem[] {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return [];
  return validator
    .Errors(value)
    .filter((error) => error.keyword !== 'additionalProperties')
    .slice(0, MAX_PROBLEMS)
    .map((error) => ({
      path: error.instancePath,
      // A closed schema refuses a field by the schema `false`.
      message: error.keyword === 'boolean' ? 'is not a known field' : error.message,
    }));
}

/** Problems as one line for a person. */
export function describeProblems(problems: readonly Problem[]): string {
  return problems.map(({ path, message }) => `${path || 'the body'} ${message}`).join('; ');
}

import { type Kind, kindOf } from './kinds.ts';

/** The configuration of a machine as JSON, which `createMachine` of XState and its editor take. */

/** What a function stands for in a configuration: XState's actions say it in their type. */
function nameOfFunction(value: { name: string; type?: unknown }): string {
  return typeof value.type === 'string' ? value.type.replace(/^xstate\./, '') : value.name;
}

/** Properties whose functions compute values at run time, and name nothing. */
const COMPUTED = new Set(['context', 'input', 'params']);

/**
 * The definition of a machine, with functions replaced by their names.
 *
 * @throws `MACHINE_NOT_FOUND`
 */
export function machineDefinition(name: string): Record<string, unknown> {
  return definitionOf(kindOf(name));
}

export function definitionOf({ machine }: Kind): Record<string, unknown> {
  return plain(machine.config) as Record<string, unknown>;
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return { type: nameOfFunction(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, one]) => one !== undefined && !(COMPUTED.has(key) && typeof one === 'function'))
      .map(([key, one]) => [key, plain(one)]),
  );
}

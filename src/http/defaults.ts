import type { TSchema } from 'typebox';

/**
 * Keyword of a schema whose defaults are shown in OpenAPI, but filled in by somebody who knows more: of a new sandbox, the
 * scheduler takes what is left out from the template first.
 */
export const DEFAULTS_ELSEWHERE = 'x-defaults-elsewhere';

/**
 * The value with the defaults of the schema's own properties where it has none; anything but an object comes back as it
 * is, for the schema to refuse. Deeper defaults are not looked for: no protocol has one. (TypeBox's `Value.Default` goes
 * deeper, and throws at a closed record, such as the labels of a sandbox, with a key that does not fit.)
 */
export function withDefaults(schema: TSchema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  if (DEFAULTS_ELSEWHERE in schema) return value;
  const { properties = {} } = schema as { properties?: Record<string, { default?: unknown }> };
  const defaults = Object.entries(properties)
    .filter(([, property]) => property.default !== undefined)
    .map(([name, property]) => [name, property.default]);
  return { ...Object.fromEntries(defaults), ...value };
}

import fc, { type Arbitrary } from 'fast-check';

/** Values for a schema of the OpenAPI document, made from nothing but the schema. */

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  uniqueItems?: boolean;
}

/** Long texts and lists are tried elsewhere; here they would only take time. */
const CHARACTERS_MAX = 64;
const ITEMS_MAX = 4;
/** A property, or an item of a list, that is not asked for is there in every second value. */
const OPTIONAL = { requiredKeys: [] as string[] };

/** Values that fit the schema. */
export function fitting(schema: Schema): Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(fitting));
  switch (schema.type) {
    case 'string':
      return text(schema);
    case 'integer':
    case 'number':
      return fc.oneof(
        fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? 2 ** 31 - 1),
        fc.integer({
          min: Math.ceil(schema.minimum ?? 0),
          max: Math.min(schema.maximum ?? 1e6, 2 ** 31 - 1),
        }),
      );
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return list(schema);
    case 'object':
      return object(schema);
    default:
      return fc.jsonValue();
  }
}

function text({ pattern, minLength = 0, maxLength = CHARACTERS_MAX }: Schema): Arbitrary<string> {
  if (pattern !== undefined)
    return fc
      .stringMatching(new RegExp(pattern), { size: 'small' })
      .filter((value) => value.length <= maxLength);
  return fc.string({ minLength, maxLength: Math.min(maxLength, CHARACTERS_MAX) });
}

function list({ items = {}, minItems = 0, maxItems = ITEMS_MAX, uniqueItems }: Schema): Arbitrary<unknown[]> {
  const size = { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, ITEMS_MAX)) };
  return uniqueItems ? fc.uniqueArray(fitting(items), size) : fc.array(fitting(items), size);
}

function object({ properties = {}, patternProperties = {}, required = [] }: Schema): Arbitrary<object> {
  const named = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, fitting(schema)])),
    { ...OPTIONAL, requiredKeys: required },
  );
  const others = Object.entries(patternProperties).map(([pattern, schema]) =>
    fc.dictionary(fc.stringMatching(new RegExp(pattern), { size: 'small' }), fitting(schema), { maxKeys: 3 }),
  );
  return fc.tuple(named, ...others).map((parts) => Object.assign({}, ...parts));
}

/** Objects that fit the schema but for one thing: a field too many, too few, or of another kind. */
export function nearlyFitting(schema: Schema): Arbitrary<unknown> {
  const names = Object.keys(schema.properties ?? {});
  const wrong = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(-1, 1e15, 1.5, '', null, [], {}, '\u0000', '../x', 'x'.repeat(5000)),
  );
  const name = names.length > 0 ? fc.oneof(fc.constantFrom(...names), fc.string()) : fc.string();
  return fc.tuple(fitting(schema), name, wrong, fc.boolean()).map(([value, field, other, isLess]) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return other;
    if (!isLess) return { ...value, [field]: other };
    const { [field as keyof typeof value]: _left, ...rest } = value;
    return rest;
  });
}

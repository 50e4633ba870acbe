import { type Static, type TSchema, Type } from 'typebox';
import { ExecReply, SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';
import { Problem } from './problem.ts';

/**
 * The schemas that have a name in the OpenAPI document. They are the actors' own, so a field that is added to a protocol
 * is in the document and in the routes' types at once.
 */
export const named = {
  Sandbox: SandboxView,
  Transition: SandboxTransition,
  ExecReply,
  Problem,
} as const satisfies Record<string, TSchema>;

/** A reference to a named schema, with its type. */
export function ref<Name extends keyof typeof named>(name: Name) {
  return Type.Unsafe<Static<(typeof named)[Name]>>({ $ref: `${name}#` });
}

/** A template as callers see it. */
export const Template = Type.Object(
  {
    name: Type.String(),
    owner: Type.Enum(['platform', 'team'], {
      description: 'Whose it is: everybody sees those of the platform',
    }),
    kind: Type.Enum(['base', 'snapshot'], {
      description: 'A file system, or one with the memory of a machine',
    }),
    size_mb: Type.Integer({ description: 'Size of the file system in MiB: no disk can be smaller' }),
    allocated_bytes: Type.Integer({ description: 'What it takes on a host' }),
  },
  { additionalProperties: false },
);

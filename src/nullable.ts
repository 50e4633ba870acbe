import { type TSchema, Type } from 'typebox';

/** The schema of what may also be null. */
export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

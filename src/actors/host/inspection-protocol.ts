import { type Static, Type } from 'typebox';
import { TEAM_ID_PATTERN } from '../../ids.ts';
import { Nullable } from '../../nullable.ts';
import { ACTOR_KINDS, Inspection } from '../system/inspection.ts';

/** What a host tells of itself to those who look at it. */

const closed = { additionalProperties: false } as const;

/** The actors that a host has one of each. */
export const HOST_ACTOR_KINDS = ACTOR_KINDS.filter((kind) => kind !== 'sandbox');
export type HostActorKind = (typeof HOST_ACTOR_KINDS)[number];

export const InspectionRequest = Type.Object({ kind: Type.Enum(HOST_ACTOR_KINDS) }, closed);
export type InspectionRequest = Static<typeof InspectionRequest>;

export const Inspections = Type.Object(
  {
    now: Inspection,
    /** What happened to it last, oldest first; no more than the host remembers. */
    recent: Type.Array(Inspection),
  },
  closed,
);
export type Inspections = Static<typeof Inspections>;

/** Something on the machine that no ledger names, or that a ledger names in vain. */
export const Leak = Type.Object({ kind: Type.String(), name: Type.String(), detail: Type.String() }, closed);
export type Leak = Static<typeof Leak>;

/** What a host holds of its machine. */
export const Holdings = Type.Object(
  {
    /** Network slots: those of sandboxes, and those that wait for one. */
    slots: Type.Object({ used: Type.Integer(), spare: Type.Integer() }, closed),
    /** Loop devices of images, with the names of the devices that stand on each. */
    loops: Type.Array(
      Type.Object(
        { device: Type.String(), image: Type.String(), holders: Type.Array(Type.String()) },
        closed,
      ),
    ),
    /** Device-mapper devices of disks; none with reflinks. */
    devices: Type.Array(
      Type.Object({ name: Type.String(), kind: Type.String(), sandbox_id: Nullable(Type.String()) }, closed),
    ),
    leaks: Type.Array(Leak),
  },
  closed,
);
export type Holdings = Static<typeof Holdings>;

export const UsageRequest = Type.Object({ team_id: Type.String({ pattern: TEAM_ID_PATTERN }) }, closed);
export type UsageRequest = Static<typeof UsageRequest>;

/** Blocks of the store that are allocated to a team's sandboxes. Blocks that clones share count for each. */
export const Usage = Type.Object(
  {
    sandboxes: Type.Array(
      Type.Object({ id: Type.String(), allocated_bytes: Type.Integer({ minimum: 0 }) }, closed),
    ),
  },
  closed,
);
export type Usage = Static<typeof Usage>;

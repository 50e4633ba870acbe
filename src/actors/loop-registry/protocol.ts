import { type Static, Type } from 'typebox';
import { defineCommand } from '../system/command.ts';

/** The commands of a host's loop-registry actor, subject `dormouse.loop-registry.<host>.<command>`. */

const closed = { additionalProperties: false } as const;

/** One read-only loop device of an image, and for whose sake it is kept. */
export const LoopEntry = Type.Object(
  {
    /** Real path of the image. */
    image: Type.String(),
    /** `/dev/loopN`. */
    device: Type.String(),
    /** Device and inode number of the image's file: another file under the same path is another origin. */
    file_id: Type.String(),
    /** Sorted; the reference count is their number. */
    holders: Type.Array(Type.String()),
  },
  closed,
);
export type LoopEntry = Static<typeof LoopEntry>;

const Holder = Type.String({
  minLength: 1,
  maxLength: 127,
  description: 'Name of the thing for whose sake the loop is kept',
});
const Image = Type.String({ minLength: 1, maxLength: 4096, description: 'Path of the image' });

export const loopRegistryCommands = {
  acquire: defineCommand({
    name: 'acquire',
    summary: 'Makes sure that the image has a loop device and that the holder holds it.',
    request: Type.Object({ image: Image, holder: Holder }, closed),
    reply: LoopEntry,
    defaultTimeoutMs: 15_000,
  }),
  release: defineCommand({
    name: 'release',
    summary: 'Takes the holder off the image; the loop device goes with the last one.',
    request: Type.Object({ image: Image, holder: Holder }, closed),
    reply: Type.Object({ detached: Type.Boolean(), holders: Type.Array(Type.String()) }, closed),
    defaultTimeoutMs: 15_000,
  }),
  list: defineCommand({
    name: 'list',
    summary: 'Lists loop devices and holders.',
    request: Type.Object({}, closed),
    reply: Type.Object({ loops: Type.Array(LoopEntry) }, closed),
    defaultTimeoutMs: 5_000,
  }),
} as const;

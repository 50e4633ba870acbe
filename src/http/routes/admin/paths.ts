import { Type } from 'typebox';
import { DormouseError } from '../../../errors/index.ts';
import { TEAM_ID_PATTERN } from '../../../ids.ts';

/** What the paths under /v1/admin name. Teams and keys are UUIDs; another text names none. */

export const TeamPath = Type.Object({ team: Type.String({ description: 'Id of the team' }) });
export const KeyPath = Type.Object({
  team: Type.String({ description: 'Id of the team' }),
  key: Type.String({ description: 'Id of the key, which is not the key itself' }),
});

const uuid = new RegExp(TEAM_ID_PATTERN);

/** The id of the team that the path names. Throws `TEAM_NOT_FOUND` when no team can have it. */
export function teamIdOf({ team }: { team: string }): string {
  if (!uuid.test(team)) throw teamNotFound();
  return team;
}

/** The id of the key that the path names. Throws `KEY_NOT_FOUND` when no key can have it. */
export function keyIdOf({ key }: { key: string }): string {
  if (!uuid.test(key))
    throw new DormouseError('KEY_NOT_FOUND', 'The team has no API key with this id. A key itself is no id.');
  return key;
}

export function teamNotFound(): DormouseError {
  return new DormouseError('TEAM_NOT_FOUND', 'There is no team with this id.');
}

import fc from 'fast-check';
import t from 'tap';
import {
  COMMAND_ID_PATTERN,
  DEFAULT_TEAM_ID,
  HOST_ID_PATTERN,
  isSandboxId,
  newCommandId,
  newHostId,
  newRequestId,
  newSandboxId,
  PLATFORM_TEAM_ID,
  SANDBOX_ID_PATTERN,
  sandboxIdForKey,
  TEAM_ID_PATTERN,
} from '../src/ids.ts';

const many = <T>(make: () => T): T[] => Array.from({ length: 2000 }, make);

t.test('new ids have the form that is checked where they enter, and differ', async (t) => {
  for (const [make, pattern] of [
    [newSandboxId, SANDBOX_ID_PATTERN],
    [newCommandId, COMMAND_ID_PATTERN],
    [newRequestId, '^r-[a-z2-7]{20}$'],
    [newHostId, HOST_ID_PATTERN],
  ] as const) {
    const ids = many(make);
    t.same(
      ids.filter((id) => !new RegExp(pattern).test(id)),
      [],
      make.name,
    );
    t.equal(new Set(ids).size, ids.length, make.name);
  }
  for (const team of [PLATFORM_TEAM_ID, DEFAULT_TEAM_ID]) t.match(team, new RegExp(TEAM_ID_PATTERN));
});

t.test('every character of the alphabet comes up, at every place', async (t) => {
  const seen = Array.from({ length: 20 }, () => new Set<string>());
  for (const id of many(newSandboxId))
    for (const [place, char] of [...id.slice(3)].entries()) seen[place]?.add(char);
  t.same(
    seen.map((chars) => chars.size),
    Array(20).fill(32),
  );
});

t.test('what is no sandbox id is not taken for one', async (t) => {
  const good = 'sb-aaaaaaaaaaaaaaaaaaaa';
  t.ok(isSandboxId(good));
  for (const bad of [
    '',
    'sb-',
    good.slice(0, -1),
    `${good}a`,
    `${good}\n`,
    ` ${good}`,
    good.toUpperCase(),
    'sb-aaaaaaaaaaaaaaaaaaa1',
    'sb-../aaaaaaaaaaaaaaaaa',
    'sb-aaaaaaaaaaaaaaaaaaa.',
    'sb-aaaaaaaaaaaaaaaaaaa*',
  ])
    t.notOk(isSandboxId(bad), JSON.stringify(bad));
});

t.test('property: a key of a team is one sandbox, and never that of another team or key', async (t) => {
  const key = fc.string({ minLength: 1, maxLength: 255 });
  const result = fc.check(
    fc.property(fc.uuid(), fc.uuid(), key, key, (team, otherTeam, one, two) => {
      const id = sandboxIdForKey(team, one);
      return (
        isSandboxId(id) &&
        id === sandboxIdForKey(team, one) &&
        (team === otherTeam || id !== sandboxIdForKey(otherTeam, one)) &&
        (one === two || id !== sandboxIdForKey(team, two))
      );
    }),
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test('the sandbox of a key is the same in every version', async (t) => {
  // Changing the derivation would make a create that is sent again after an upgrade a second sandbox.
  t.equal(sandboxIdForKey(DEFAULT_TEAM_ID, 'order-4711'), 'sb-nmsl4jeaidorgh3ua5ds');
});

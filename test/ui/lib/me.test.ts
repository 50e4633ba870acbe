import t from 'tap';
import { serve } from '../browser.ts';

const { effect } = await import('@preact/signals');
const { followIdentity, identity } = await import('../../../src/ui/lib/me.ts');
const { keepKey } = await import('../../../src/ui/lib/session.ts');

/** What a page has known of itself, until it comes to the last of these. */
async function knownUntil(last: string): Promise<string[]> {
  const known: string[] = [];
  let stop = (): void => {};
  await new Promise<void>((resolve) => {
    stop = effect(() => {
      const who = identity.value;
      known.push(who.known === 'no' ? who.problem.code : who.known);
      if (known.at(-1) === last) resolve();
    });
  });
  stop();
  return known;
}

t.test('a server that cannot say who one is is asked again; a key that is wrong is not', async (t) => {
  let asked = 0;
  await serve(t, ({ headers }, response) => {
    asked += 1;
    const fails = (status: number, code: string): void => {
      response.writeHead(status).end(JSON.stringify({ code, title: '', detail: '', status }));
    };
    if (headers['x-api-key'] === 'wrong') fails(401, 'UNAUTHENTICATED');
    else if (asked === 1) fails(503, 'UNAVAILABLE');
    else response.end(JSON.stringify({ team_id: 'tm-1', scopes: ['read'] }));
  });
  followIdentity();
  t.same(await knownUntil('yes'), ['asking', 'UNAVAILABLE', 'yes']);
  keepKey('wrong');
  t.same(await knownUntil('UNAUTHENTICATED'), ['asking', 'UNAUTHENTICATED']);
  const before = asked;
  keepKey('right');
  await knownUntil('yes');
  t.equal(asked, before + 1);
});

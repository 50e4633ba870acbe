import t from 'tap';
import { defaultsOf } from '../../../src/images/import/image-config.ts';

t.test('what an image says of its programs becomes defaults', async (t) => {
  for (const [config, defaults] of [
    [undefined, {}],
    [null, {}],
    [{ User: null, WorkingDir: null, Env: null }, {}],
    [{ User: '', WorkingDir: '', Env: [] }, {}],
    [{ User: '1000:1000' }, { user: '1000' }],
    [{ User: 'www-data' }, { user: 'www-data' }],
    [{ WorkingDir: 'srv' }, { cwd: '/srv' }],
    [{ Env: ['A=1', 'A=2', 'B=x=y'] }, { env: { A: '2', B: 'x=y' } }],
  ] as const)
    t.same(defaultsOf({ config } as Parameters<typeof defaultsOf>[0]), { defaults, leftOut: [] });
});

t.test('what a template cannot keep is left out and told', async (t) => {
  const long = 'x'.repeat(4090);
  const { defaults, leftOut } = defaultsOf({
    config: {
      User: 'no such/user',
      WorkingDir: `/${long}${long}`,
      Env: ['NOTHING', '=x', 'A B=1', 'ZERO=\0', `LONG=${long}`, 'LATE=x', '__proto__=x', `LONG=${long}yyyy`],
    },
  });
  t.same(leftOut, [
    'User no such/user',
    'WorkingDir',
    'Env ',
    'Env ',
    'Env A B',
    'Env ZERO',
    'Env LATE',
    'Env __proto__',
    'Env LONG',
  ]);
  t.same(defaults, { env: { LONG: long } });
  const many = Array.from({ length: 70 }, (_, index) => `V${index}=x`);
  const kept = defaultsOf({ config: { Env: [...many, 'V0=y'] } });
  t.equal(Object.keys(kept.defaults.env ?? {}).length, 64);
  t.equal(kept.defaults.env?.V0, 'y', 'one that is there is still set');
  t.equal(kept.leftOut.length, 6);
});

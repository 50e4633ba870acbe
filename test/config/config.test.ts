import fc from 'fast-check';
import t from 'tap';
import { describeVariables, loadConfig } from '../../src/config/config.ts';
import { type Variable, variables } from '../../src/config/variables.ts';

const all = Object.values(variables) as Variable[];

function problems(environment: Record<string, string>): string[] {
  try {
    loadConfig(environment);
    return [];
  } catch (error) {
    const { code, data } = error as { code: string; data: { problems: string[] } };
    if (code !== 'CONFIG_INVALID') throw error;
    return data.problems;
  }
}

t.test('without settings everything has its fallback', async (t) => {
  const config = loadConfig({});
  t.equal(config.httpPort, 7070);
  t.equal(config.natsUrl, undefined);
  t.equal(config.mailboxSize, 64);
  t.same(config, loadConfig({ NATS_URL: '', DORMOUSE_HTTP_PORT: '' }), 'empty is the same as not set');
});

t.test('values have their types', async (t) => {
  const config = loadConfig({
    DORMOUSE_HTTP_PORT: '0',
    DORMOUSE_DATA_DIR: 'relative/dir',
    NATS_URL: 'nats://user:password@host:4222',
    DORMOUSE_ACCELERATOR: 'tcg',
    DORMOUSE_HOST_ID: 'h-1',
    DORMOUSE_MEMORY_MB: '128',
  });
  t.match(config, {
    httpPort: 0,
    dataDir: `${process.cwd()}/relative/dir`,
    natsUrl: 'nats://user:password@host:4222',
    accelerator: 'tcg',
    hostId: 'h-1',
    memoryMb: 128,
  });
});

t.test('each kind of wrong value is named with what would be right', async (t) => {
  for (const [name, value, expected] of [
    ['DORMOUSE_HTTP_PORT', '65536', /from 0 to 65535/],
    ['DORMOUSE_HTTP_PORT', '-1', /whole number/],
    ['DORMOUSE_HTTP_PORT', '80.5', /whole number/],
    ['DORMOUSE_HTTP_PORT', '1e3', /whole number/],
    ['DORMOUSE_HTTP_PORT', '0x50', /whole number/],
    ['DORMOUSE_HTTP_PORT', ' 80', /whole number/],
    ['DORMOUSE_HTTP_PORT', '80\n', /whole number/],
    ['DORMOUSE_MAILBOX_SIZE', '0', /from 1 to 65536/],
    ['DORMOUSE_ACCELERATOR', 'xen', /auto, kvm, tcg/],
    ['DORMOUSE_LOG_LEVEL', 'INFO', /trace, debug, info/],
    ['DORMOUSE_HOST_ID', 'a.b', /must have the form/],
    ['DORMOUSE_HOST_ID', 'host *', /must have the form/],
    ['DORMOUSE_HOST_ID', 'UPPER', /must have the form/],
    ['DORMOUSE_TRUSTED_PROXIES', 'loopback', /must be addresses or networks/],
    ['DORMOUSE_TRUSTED_PROXIES', '10.0.0.0/33', /must be addresses or networks/],
    ['DORMOUSE_TRUSTED_PROXIES', '10.0.0.1,', /separated by commas/],
    ['DORMOUSE_TRUSTED_PROXIES', '10.0.0.0/8/8', /must be addresses or networks/],
    ['DORMOUSE_TRUSTED_PROXIES', '10.0.0.0/', /must be addresses or networks/],
    ['DORMOUSE_NATS_NAME', 'edge.1', /must have the form/],
    ['DORMOUSE_NATS_NAME', 'edge *', /must have the form/],
  ] as const) {
    const [problem, ...others] = problems({ [name]: value });
    t.match(problem, expected, `${name}=${value}`);
    t.ok(problem?.startsWith(`${name}=${JSON.stringify(value)}: `));
    t.same(others, []);
  }
});

t.test('addresses and keys are taken as they are documented', async (t) => {
  for (const [name, value] of [
    ['DATABASE_URL', 'postgresql://dormouse:s3cret@/db?host=/run/postgresql'],
    ['DATABASE_URL', 'postgres://user@host:5432/dormouse?sslmode=require'],
    ['NATS_URL', 'nats://a:4222,nats://b:4222'],
    ['NATS_URL', 'nats://user:pass%2Fword@a:4222, tls://b:4222'],
    ['NATS_URL', 'localhost'],
    ['DORMOUSE_URL', 'http://127.0.0.1:7070'],
    ['DORMOUSE_URL', 'https://example.com/dormouse/'],
    ['DORMOUSE_API_KEY', 'dm_0123456789abcdef0123456789abcdef01234567'],
    ['DORMOUSE_API_KEY', '!'.repeat(20)],
    ['DORMOUSE_TRUSTED_PROXIES', '10.0.0.1, 192.168.0.0/16,fd00::/8,::1'],
    ['DORMOUSE_API_KEY', '~'.repeat(512)],
  ] as const) {
    t.same(problems({ [name]: value }), [], `${name}=${value}`);
    t.same(problems({ [name]: ` ${value}\n` }), [], 'with the white space of a file');
  }
  t.equal(loadConfig({ NATS_URL: ' nats://a:4222\n' }).natsUrl, 'nats://a:4222');
});

t.test('a wrong address or key is named with what would be right, and never shown', async (t) => {
  for (const [name, value, expected] of [
    ['NATS_URL', 'http://u:s3cret@host:4222', /nats:\/\/user:password@host:4222/],
    ['NATS_URL', 'nats://u:s3cret#1@host:4222', /%XX/],
    ['NATS_URL', 'nats://u:1/s3cret@host:4222', /%XX/],
    ['NATS_URL', 'nats://u:s3cret%zz@host', /%XX/],
    ['NATS_URL', 'nats://a:4222,', /separated by commas/],
    ['DATABASE_URL', 'mysql://u:s3cret@host/db', /postgresql:\/\/user:password@host\/database/],
    ['DATABASE_URL', 'postgresql://u:s3cret@host', /must look like/],
    ['DATABASE_URL', 's3cret', /must look like/],
    ['DORMOUSE_URL', 'localhost:7070', /must begin with http:\/\/ or https:\/\//],
    ['DORMOUSE_URL', 'localhost', /must begin with/],
    ['DORMOUSE_URL', 'http://u:s3cret@host?x', /must begin with/],
    ['DORMOUSE_API_KEY', 's3cret', /20 to 512/],
    ['DORMOUSE_API_KEY', 's3cret'.repeat(100), /20 to 512/],
    ['DORMOUSE_API_KEY', 's3cret s3cret s3cret s3cret', /without spaces/],
    ['DORMOUSE_API_KEY', 'ключ-который-достаточно-длинный', /ASCII/],
  ] as const) {
    const [problem, ...others] = problems({ [name]: value });
    t.match(problem, expected, `${name}=${value}`);
    t.ok(problem?.startsWith(`${name}: must `));
    t.notMatch(problem, /s3cret/);
    t.same(others, []);
  }
});

t.test('all problems are told at once', async (t) => {
  t.throws(() => loadConfig({ DORMOUSE_HTTP_PORT: 'x', DORMOUSE_VCPUS: '0', DORMOUSE_HTTP_PROT: '1' }), {
    code: 'CONFIG_INVALID',
    detail:
      /DORMOUSE_HTTP_PORT="x".*DORMOUSE_VCPUS="0".*DORMOUSE_HTTP_PROT: there is no such setting.*--help/,
  });
});

t.test(
  "a setting that is not known is told; what is not ours and what is the test-suite's is left alone",
  async (t) => {
    t.same(problems({ DORMOUSE_DATADIR: '/x' }), ['DORMOUSE_DATADIR: there is no such setting']);
    t.same(problems({ DORMOUSE_TEST_LOG: 'debug', PATH: '/bin', NATS_USER: 'x', dormouse_x: '1' }), []);
  },
);

t.test('property: an integer is taken exactly when it lies between its bounds', async (t) => {
  const integers = all.filter((variable) => variable.kind === 'integer');
  const result = fc.check(
    fc.property(fc.constantFrom(...integers), fc.maxSafeInteger(), ({ name, min = 0, max = 0 }, value) => {
      return (problems({ [name]: String(value) }).length === 0) === (value >= min && value <= max);
    }),
    {
      numRuns: 500,
      examples: integers.flatMap((one) => [[one, one.min ?? 0] as [Variable, number], [one, one.max ?? 0]]),
    },
  );
  t.notOk(result.failed, `seed ${result.seed}, counterexample ${JSON.stringify(result.counterexample)}`);
});

t.test('every setting is described, has a name of its own and a fallback that it takes itself', async (t) => {
  const described = describeVariables();
  t.same(
    described.map(({ name }) => name),
    all.filter(({ hidden }) => !hidden).map(({ name }) => name),
  );
  t.same(
    all.filter(({ hidden }) => hidden).map(({ name }) => name),
    ['DORMOUSE_FAULTS'],
    'what is for tests only is taken and not shown',
  );
  t.equal(loadConfig({ DORMOUSE_FAULTS: 'saveVm done=kill' }).faults, 'saveVm done=kill');
  t.equal(new Set(described.map(({ name }) => name)).size, described.length);
  for (const { name, help } of described) t.ok(help.length > 10, name);
  for (const { name, fallback, kind, min, max, choices } of all) {
    if (fallback !== undefined) t.same(problems({ [name]: fallback }), [], name);
    if (kind === 'integer') t.ok(min !== undefined && max !== undefined && min < max, `${name} has bounds`);
    if (choices) t.match(described.find((one) => one.name === name)?.help, choices.join(', '), name);
  }
});

t.test('without keys the edge listens on this machine only', async (t) => {
  t.equal(loadConfig({}).auth, 'keys');
  for (const host of ['127.0.0.1', '127.0.0.9', '::1', 'localhost'])
    t.equal(loadConfig({ DORMOUSE_AUTH: 'none', DORMOUSE_HTTP_HOST: host }).auth, 'none', host);
  for (const host of ['0.0.0.0', '::', '192.168.0.1', 'example.com'])
    t.throws(
      () => loadConfig({ DORMOUSE_AUTH: 'none', DORMOUSE_HTTP_HOST: host }),
      { code: 'CONFIG_INVALID', detail: /DORMOUSE_AUTH=none/ },
      host,
    );
  t.equal(loadConfig({ DORMOUSE_HTTP_HOST: '0.0.0.0' }).auth, 'keys');
});

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';

/**
 * Rules about the source that neither the compiler nor the linter knows. Each failure names the file and what to do.
 */
const ROOT = path.join(import.meta.dirname, '..', '..', 'src');

/** What everything may build on, and what builds on nothing else: folders and files directly in src. */
const GROUND = ['errors', 'ids', 'clock', 'log', 'paths', 'durable-file'];
const ABOVE_ACTORS = ['bus', 'records', 'entities', 'projector', 'machines', 'http', 'roles', 'cli'];

/** Imports point one way: http → bus → actors → drivers. Part of src → the parts that it must not import. */
const MUST_NOT_IMPORT: Record<string, readonly string[]> = {
  drivers: ['actors', ...ABOVE_ACTORS],
  store: ['actors', ...ABOVE_ACTORS],
  images: ['actors', ...ABOVE_ACTORS],
  embedded: ['actors', ...ABOVE_ACTORS],
  actors: ABOVE_ACTORS,
  bus: ['records', 'entities', 'projector', 'http', 'roles', 'cli'],
  records: ['http', 'roles', 'cli'],
  projector: ['http', 'roles', 'cli'],
  machines: ['drivers', 'bus', 'records', 'entities', 'projector', 'http', 'roles', 'cli'],
  http: ['roles', 'cli'],
  doctor: ['actors', ...ABOVE_ACTORS],
  roles: ['cli'],
};

/** Parts that may import these and nothing else of ours. */
const MAY_ONLY_IMPORT: Record<string, readonly string[]> = {
  entities: ['ids', 'errors'],
  ...Object.fromEntries(GROUND.map((part) => [part, GROUND])),
};

const LINES_MAX = 400;
/** Files that may be longer, and why. */
const LONG_FILES: Record<string, string> = {
  'actors/sandbox/machine.ts': 'all states of a sandbox in one table, which is read as one picture',
  'actors/system/actor.ts':
    'the loop that every actor runs: its order of saving, acting and answering is one subject',
};

/** Time and chance come from one place each, so that the simulation can replace them. */
const SOURCES_OF_CHANGE = [
  { pattern: /\bDate\.now\b|\bnew Date\(\)/, instead: 'clock.nowMs()' },
  { pattern: /\bperformance\.now\b|\bprocess\.hrtime\b/, instead: 'clock.monotonicMs()' },
  {
    pattern: /(?<![.\w])set(Timeout|Interval)\(|node:timers|\bAbortSignal\.timeout\b/,
    instead: 'clock.after(), clock.sleep() or within()',
  },
  { pattern: /\bMath\.random\b|\brandomBytes\b/, instead: 'a function of src/ids.ts' },
];
/** Files that may use them, and why. */
const CHANGE_ALLOWED: Record<string, string> = {
  'clock.ts': 'it is the source of time',
  'ids.ts': 'it is the source of ids',
  'actors/host/identity.ts': 'secrets and addresses of guests, on which no decision depends',
  'drivers/guest/index.ts': 'fresh entropy for a guest',
  'api-key.ts': 'a secret',
  'embedded/nats.ts': 'the password of the embedded server',
};

/** What the pages may run of the server's: it needs no Node. Types of it leave no trace, and may come from anywhere. */
const RUNS_IN_BROWSERS = ['machines/match.ts'];

const files = (readdirSync(ROOT, { recursive: true }) as string[])
  .filter((name) => /\.tsx?$/.test(name))
  .sort();
const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
/** Source without its comments: words in a sentence are no calls. */
const codeOf = (file: string): string => textOf(file).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');

/** The first part of a path below src: a folder, or a file without its extension. */
function partOf(file: string): string {
  return (file.split('/')[0] ?? '').replace(/\.ts$/, '');
}

/** The parts of src that a file imports, other than its own. */
function importedParts(file: string): string[] {
  const specifiers = [...codeOf(file).matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']*)'/g)].map(
    ([, name = '']) => name,
  );
  return specifiers
    .map((name) => path.join(path.dirname(file), name))
    .filter((target) => !target.startsWith('..'))
    .map(partOf)
    .filter((part) => part !== partOf(file));
}

t.test('imports point one way', async (t) => {
  t.ok(files.length > 20, 'there is something to look at');
  t.same(importedParts('actors/system/ports.ts').includes('bus'), false);
  t.ok(importedParts('bus/types.ts').includes('actors'), 'imports are found');
  const wrong = files.flatMap((file) => {
    const part = partOf(file);
    const only = MAY_ONLY_IMPORT[part];
    return importedParts(file)
      .filter((imported) => (only ? !only.includes(imported) : MUST_NOT_IMPORT[part]?.includes(imported)))
      .map((imported) => `src/${file} imports ${imported}, which ${part} must not know`);
  });
  t.same(wrong, []);
});

t.test('pages run nothing that needs a server, and no server needs the pages', async (t) => {
  const runs = files
    .filter((file) => partOf(file) === 'ui')
    .flatMap((file) =>
      [...codeOf(file).matchAll(/^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'/gm)].map(
        ([, name = '']) => path.join(path.dirname(file), name),
      ),
    );
  t.ok(runs.includes('ui/lib/api.ts'), 'imports are found');
  t.same(
    runs.filter((target) => partOf(target) !== 'ui' && !RUNS_IN_BROWSERS.includes(target)),
    [],
  );
  t.same(
    files.filter((file) => partOf(file) !== 'ui' && importedParts(file).includes('ui')),
    [],
  );
  for (const file of RUNS_IN_BROWSERS)
    t.notMatch(codeOf(file), /^import (?!type )/m, `${file} needs nothing`);
});

t.test('time and chance come from src/clock.ts and src/ids.ts', async (t) => {
  const wrong = files
    // What runs in a browser is not simulated.
    .filter((file) => partOf(file) !== 'ui' && !(file in CHANGE_ALLOWED))
    .flatMap((file) =>
      SOURCES_OF_CHANGE.filter(({ pattern }) => pattern.test(codeOf(file))).map(
        ({ pattern, instead }) => `src/${file} has ${pattern.exec(codeOf(file))?.[0]}: use ${instead}`,
      ),
    );
  t.same(wrong, []);
});

t.test('a file has one subject', async (t) => {
  const wrong = files
    .filter((file) => !(file in LONG_FILES))
    .map((file) => ({ file, lines: textOf(file).split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ file, lines }) => `src/${file} has ${lines} lines; split it by subject (at most ${LINES_MAX})`);
  t.same(wrong, []);
});

t.test('every exception is still needed', async (t) => {
  const gone = [...Object.keys(LONG_FILES), ...Object.keys(CHANGE_ALLOWED)].filter(
    (file) => !files.includes(file),
  );
  t.same(gone, []);
});

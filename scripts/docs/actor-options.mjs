import path from 'node:path';

/**
 * What the three kinds of actors are made of: machine, steps, commands. Each kind gives these to its actor where it starts
 * it, so that is where they are read: what a page or a test says of a machine is what the actor runs.
 *
 * @typedef {import('../../src/actors/system/actor-options.ts').ActorOptions<any, any>} Options
 */

const ROOT = path.join(import.meta.dirname, '..', '..');

/** How long a guest may take to answer, in seconds: the fallback of the setting. Two limits depend on it. */
const GUEST_TIMEOUT = 'DORMOUSE_GUEST_TIMEOUT_S';

/** @type {any} Stands for whatever an actor would use if it were started: every property and every call gives it again. */
const anything = new Proxy(() => {}, {
  get: (_, name) => (name === 'then' ? undefined : name === Symbol.toPrimitive ? () => 0 : anything),
  apply: () => anything,
});
/** @param {object} known properties that matter */
const anythingWith = (known) =>
  new Proxy(known, { get: (_, name) => (name in known ? Reflect.get(known, name) : anything) });

/** How each kind is started. */
const STARTS = {
  sandbox: {
    file: 'actors/sandbox/sandbox.ts',
    start: (/** @type {any} */ { Sandbox }, /** @type {any} */ options) =>
      Sandbox.start('sb-any', undefined, options),
  },
  host: {
    file: 'actors/host/host.ts',
    start: (/** @type {any} */ { Host }, /** @type {any} */ options) => Host.start(options),
  },
  'loop-registry': {
    file: 'actors/loop-registry/loop-registry.ts',
    start: (/** @type {any} */ { LoopRegistry }, /** @type {any} */ options) => LoopRegistry.start(options),
  },
};

/**
 * The options that actors of a kind are started with. Nothing is started.
 *
 * @param {keyof typeof STARTS} kind
 * @param {string} [source] folder of the checkout whose actors are wanted; this one by default
 * @returns {Promise<Options>}
 */
export async function actorOptions(kind, source = ROOT) {
  const load = (/** @type {string} */ file) => import(path.join(source, 'src', file));
  const { Actor } = await load('actors/system/actor.ts');
  const { describeVariables } = await load('config/config.ts');
  const { fallback } = describeVariables().find(
    (/** @type {{ name: string }} */ { name }) => name === GUEST_TIMEOUT,
  );
  const drivers = anythingWith({ guestTimeoutMs: Number(fallback) * 1000 });
  const { file, start } = STARTS[kind];
  const module = await load(file);
  const real = Actor.start;
  /** @type {Options | undefined} */
  let seen;
  Actor.start = async (/** @type {Options} */ options) => {
    seen = options;
    throw new Error('only the options are wanted');
  };
  try {
    await start(module, anythingWith({ drivers, ports: anything, folder: source }));
  } catch (error) {
    if (!seen) throw error;
  } finally {
    Actor.start = real;
  }
  if (!seen) throw new Error(`${file} starts no actor`);
  return seen;
}

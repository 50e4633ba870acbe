import { type Static, Type } from 'typebox';

/** What the configuration of an image says about programs that run in it (OCI image specification, config.md). */
export const ImageConfig = Type.Object({
  architecture: Type.Optional(Type.String()),
  os: Type.Optional(Type.String()),
  config: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Object({
        User: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        WorkingDir: Type.Optional(Type.Union([Type.String(), Type.Null()])),
        Env: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
      }),
    ]),
  ),
  rootfs: Type.Optional(Type.Object({ diff_ids: Type.Optional(Type.Array(Type.String())) })),
});
export type ImageConfig = Static<typeof ImageConfig>;

/** What programs get when an exec says nothing else. */
export interface RootfsDefaults {
  user?: string;
  cwd?: string;
  env?: Record<string, string>;
}

const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** What a template can keep of an environment: variables, and bytes of all of them. */
const VARIABLES_MAX = 64;
const ENVIRONMENT_BYTES_MAX = 4096;
const FOLDER_CHARACTERS_MAX = 4096;

/**
 * The defaults that an image's configuration names. A group is no part of a user.
 *
 * @returns `leftOut`: what a template cannot keep, for a person
 */
export function defaultsOf({ config }: ImageConfig): { defaults: RootfsDefaults; leftOut: string[] } {
  const defaults: RootfsDefaults = {};
  const leftOut: string[] = [];
  const user = config?.User?.split(':')[0] ?? '';
  if (USER.test(user)) defaults.user = user;
  else if (user !== '') leftOut.push(`User ${user}`);
  const folder = config?.WorkingDir ?? '';
  if (folder.length >= FOLDER_CHARACTERS_MAX) leftOut.push('WorkingDir');
  else if (folder !== '') defaults.cwd = folder.startsWith('/') ? folder : `/${folder}`;
  const env = environmentOf(config?.Env ?? [], leftOut);
  if (Object.keys(env).length > 0) defaults.env = env;
  return { defaults, leftOut };
}

/** Of two settings of a variable the last one counts. */
function environmentOf(settings: readonly string[], leftOut: string[]): Record<string, string> {
  const env: Record<string, string> = Object.create(null);
  let bytes = 0;
  for (const setting of settings) {
    const at = setting.indexOf('=');
    const name = setting.slice(0, Math.max(0, at));
    const value = setting.slice(at + 1);
    const before = name in env ? Buffer.byteLength(`${name}${env[name]}`) : 0;
    const after = bytes - before + Buffer.byteLength(`${name}${value}`);
    const isPossible = VARIABLE.test(name) && !value.includes('\0') && after <= ENVIRONMENT_BYTES_MAX;
    if (!isPossible || (!(name in env) && Object.keys(env).length >= VARIABLES_MAX)) {
      leftOut.push(`Env ${name.slice(0, 128)}`);
      continue;
    }
    env[name] = value;
    bytes = after;
  }
  return { ...env };
}

/** What `guest/stage2` is told: a shell script in base64, on one line, with the command in it as another. */
export interface Orders {
  command: readonly string[];
  /** Working directory of the command. */
  cwd: string;
  env: Readonly<Record<string, string>>;
  modules: readonly string[];
  scratch: boolean;
  /** Where the disk `packages` belongs; undefined when there is none. */
  packages: string | undefined;
  udev: boolean;
}

export function ordersLine(orders: Orders): string {
  const { command, cwd, env, modules, scratch, packages = '', udev } = orders;
  const script = [
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoted(value)}`),
    `cd ${quoted(cwd)} || exit`,
    `exec ${command.map(quoted).join(' ')}`,
  ];
  const settings = [
    `modules=${quoted(modules.join(' '))}`,
    `scratch=${scratch ? 1 : ''}`,
    `packages=${quoted(packages)}`,
    `udev=${udev ? 1 : ''}`,
    `command=${base64(script)}`,
  ];
  return `${base64(settings)}\n`;
}

function base64(lines: readonly string[]): string {
  return Buffer.from(lines.map((line) => `${line}\n`).join('')).toString('base64');
}

/** A word for a shell, whatever is in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

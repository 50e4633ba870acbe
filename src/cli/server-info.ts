import { readFile } from 'node:fs/promises';
import { keyOfFile } from '../api-key.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { DormouseError, messageOf } from '../errors/index.ts';
import { pathsOf } from '../paths.ts';

/** Where the client commands find the server, and how they prove who they are. */

/** What a server that runs on a data directory tells of itself, in the file `server.json`. */
export interface ServerInfo {
  /** Address of the edge. */
  url: string;
  /** Address of NATS, with credentials. */
  nats_url?: string;
}

/** Address of the edge and, when there is one, the key to send. */
export interface ServerAddress {
  url: string;
  apiKey: string | undefined;
}

/**
 * The address and key from the settings, else those that the server which runs on the data directory has written there.
 * That server's key is never sent to another address.
 *
 * @throws `CONFIG_INVALID`; `SERVER_UNREACHABLE` when neither is there
 */
export async function serverAddress(config: Config = loadConfig()): Promise<ServerAddress> {
  const paths = pathsOf(config.dataDir);
  const local =
    config.url === undefined || config.apiKey === undefined ? await readServerInfo(config) : undefined;
  const url = config.url ?? local?.url;
  if (url === undefined) {
    throw new DormouseError(
      'SERVER_UNREACHABLE',
      `No server runs on the data directory ${paths.root}. Start one with \`npm start\`, or set DORMOUSE_URL and DORMOUSE_API_KEY.`,
    );
  }
  const isLocal = local !== undefined && sameOrigin(local.url, url);
  const apiKey =
    config.apiKey ?? (isLocal ? keyOfFile(paths.apiKey, (await readIfThere(paths.apiKey)) ?? '') : undefined);
  return { url, apiKey };
}

/**
 * The address of NATS from the settings, else that of the server which runs on the data directory.
 *
 * @throws `CONFIG_INVALID`; `BUS_UNAVAILABLE` when neither is there
 */
export async function natsAddress(config: Config): Promise<string> {
  const url = config.natsUrl ?? (await readServerInfo(config))?.nats_url;
  if (url === undefined) {
    throw new DormouseError(
      'BUS_UNAVAILABLE',
      `No server runs on the data directory ${config.dataDir}. Start one with \`npm start\`, or set NATS_URL.`,
    );
  }
  return url;
}

/**
 * What the server that was last started on the data directory wrote, or undefined when there is nothing.
 *
 * @throws `CONFIG_INVALID` when the file is not readable or not what a server writes
 */
export async function readServerInfo(config: Config): Promise<ServerInfo | undefined> {
  const file = pathsOf(config.dataDir).serverInfo;
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const info = JSON.parse(text) as Partial<ServerInfo>;
    if (typeof info.url === 'string' && URL.canParse(info.url)) return info as ServerInfo;
  } catch {
    // The message below says it.
  }
  throw new DormouseError('CONFIG_INVALID', `${file} is damaged. Start the server again.`);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new DormouseError(
      'CONFIG_INVALID',
      `${file} cannot be read (${code ?? messageOf(error)}). Run this as the user who runs the server, or set DORMOUSE_URL and DORMOUSE_API_KEY.`,
      { cause: error },
    );
  }
}

function sameOrigin(one: string, other: string): boolean {
  return new URL(one).origin === new URL(other).origin;
}

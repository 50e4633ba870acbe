import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import {
  type Answer,
  dormouse,
  http,
  newDataDir,
  type Running,
  removeDataDir,
  startDormouse,
  type View,
} from '../../support/dormouse.ts';
import { sandboxesIn } from '../../support/host-lab.ts';

/** A server, and what tests of templates, snapshots and forks do with it. */

/** A template as the edge shows it, as far as tests look at it. */
export interface TemplateView {
  name: string;
  owner: 'team' | 'platform';
  kind: 'base' | 'snapshot';
  memory: boolean;
  vcpus: number;
  memory_mb: number;
  disk_size_mb: number;
  size_mb: number;
  allocated_bytes: number;
  [key: string]: unknown;
}

/** Of sandboxes that many are made of: a boot is quick, and a memory is small. */
export const SHAPE = { vcpus: 1, memory_mb: 128 };

/** A server on a data directory of its own. The teardown destroys its sandboxes, stops it and removes the directory. */
export async function up(t: Test, settings: Record<string, string> = {}): Promise<Running> {
  const dataDir = await newDataDir();
  const server = await startDormouse(dataDir, { DORMOUSE_STORE_SIZE_MB: '16384', ...settings });
  t.teardown(async () => {
    // A server that stops leaves its machines running, and a test that failed has not destroyed them.
    for (const id of await sandboxesIn(dataDir)) await destroyAnybodys(dataDir, id).catch(() => {});
    await server.stop();
    await removeDataDir(dataDir);
  });
  return server;
}

/** Destroys a sandbox of whatever team, which its journal names, through the bus. */
async function destroyAnybodys(dataDir: string, id: string): Promise<void> {
  const journal = await readFile(path.join(dataDir, 'store', 'sandboxes', id, 'state.json'), 'utf8');
  const { teamId } = JSON.parse(journal).context as { teamId: string };
  await dormouse(['nats-req', `dormouse.sandbox.${teamId}.${id}.destroy`, '{}'], {
    DORMOUSE_DATA_DIR: dataDir,
  });
}

/** The body of an answer that has this status; throws with the whole answer when it has another. */
export function bodyOf<T>({ status, body }: Answer<T>, wanted: number): T {
  if (status !== wanted) throw new Error(`${status}, not ${wanted}: ${JSON.stringify(body)}`);
  return body;
}

export async function create(server: Running, options: Record<string, unknown>): Promise<View> {
  return bodyOf(await http<View>(server, 'POST', '/sandboxes', options), 201);
}

export async function destroy(server: Running, ...ids: string[]): Promise<void> {
  for (const id of ids) bodyOf(await http(server, 'DELETE', `/sandboxes/${id}`), 200);
}

/** Sends a file as the root file system of a template, as a stream. */
export async function upload(
  server: Running,
  file: string,
  query: Record<string, string>,
): Promise<Answer<TemplateView>> {
  const response = await fetch(`${server.url}/v1/templates?${new URLSearchParams(query)}`, {
    method: 'POST',
    headers: { 'x-api-key': server.key, 'content-type': 'application/x-tar' },
    body: createReadStream(file) as unknown as ReadableStream,
    duplex: 'half',
  } as RequestInit);
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as TemplateView,
  };
}

export async function templates(server: Running, query = ''): Promise<TemplateView[]> {
  const { body } = await http<{ templates: TemplateView[] }>(server, 'GET', `/templates${query}`);
  return body.templates;
}

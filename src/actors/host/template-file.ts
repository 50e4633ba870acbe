import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { writeFileDurably } from '../../durable-file.ts';
import { PLATFORM_TEAM_ID } from '../../ids.ts';
import { TemplateDetails } from './template-protocol.ts';

/** What a template says of itself, in its folder. It is written last: a folder that has it is whole. */

const TEMPLATE_FILE = 'template.json';

/** All of a template but what is measured, and the host that keeps it. */
export const TemplateFile = Type.Object({
  v: Type.Literal(2),
  ...Type.Pick(TemplateDetails, [
    'id',
    'team_id',
    'name',
    'kind',
    'memory',
    'vcpus',
    'memory_mb',
    'disk_size_mb',
    'created_at',
    'user',
    'cwd',
    'env',
    'start_cmd',
    'ready_cmd',
    'source_sandbox_id',
  ]).properties,
  /** The command that made it: sent again, it is answered with this template. */
  command_id: Type.Union([Type.String(), Type.Null()]),
});
export type TemplateFile = Static<typeof TemplateFile>;

/** As hosts wrote it before teams had templates. */
const FirstTemplateFile = Type.Object({
  v: Type.Literal(1),
  name: Type.String(),
  size_mb: Type.Integer(),
});

/** Sizes of a sandbox that names none, when its template names none either. In MiB. */
export const DEFAULT_VCPUS = 1;
export const DEFAULT_MEMORY_MB = 512;
export const DEFAULT_DISK_MB = 20_480;

/** A template of the platform that says no more than its name. */
export function plainTemplateFile(id: string, name: string, createdAtMs: number): TemplateFile {
  return {
    v: 2,
    id,
    team_id: PLATFORM_TEAM_ID,
    name,
    kind: 'base',
    memory: false,
    vcpus: DEFAULT_VCPUS,
    memory_mb: DEFAULT_MEMORY_MB,
    disk_size_mb: DEFAULT_DISK_MB,
    created_at: new Date(createdAtMs).toISOString(),
    user: null,
    cwd: null,
    env: {},
    start_cmd: null,
    ready_cmd: null,
    source_sandbox_id: null,
    command_id: null,
  };
}

/** What the template in the folder says of itself; undefined when it says nothing that is whole. */
export async function readTemplateFile(dir: string): Promise<TemplateFile | undefined> {
  const file = path.join(dir, TEMPLATE_FILE);
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (Value.Check(TemplateFile, value)) return value;
    if (Value.Check(FirstTemplateFile, value))
      return plainTemplateFile(path.basename(dir), value.name, Number((await stat(file)).mtimeMs));
  } catch {
    // Nothing is there, or a part.
  }
  return undefined;
}

/** Makes the folder a template, durably. Throws `DISK_FULL`, `DATA_DIR_UNWRITABLE`. */
export async function writeTemplateFile(dir: string, content: TemplateFile): Promise<void> {
  await writeFileDurably(path.join(dir, TEMPLATE_FILE), JSON.stringify(content), 0o600);
}

/** Path of the description, for whoever takes it away first. */
export const templateFileOf = (dir: string): string => path.join(dir, TEMPLATE_FILE);

import type { Call } from '../../lib/call.ts';

/** The requests of the templates' page. */

/** What is said of a template that is to be built; empty texts say nothing. */
export interface TemplateForm {
  name: string;
  format: string;
  vcpus: string;
  memory_mb: string;
  disk_size_mb: string;
  user: string;
  cwd: string;
  /** One `NAME=value` a line. */
  env: string;
  start_cmd: string;
  ready_cmd: string;
  overwrite: boolean;
  /** Makes it the platform's. */
  isPlatform: boolean;
}

const TEXTS = ['user', 'cwd', 'start_cmd', 'ready_cmd'] as const;
const NUMBERS = ['vcpus', 'memory_mb', 'disk_size_mb'] as const;

/** Builds a template from a file, which is the body; everything else is in the query. */
export function uploadCall(form: TemplateForm, fileName: string): Call {
  const query = new URLSearchParams({ name: form.name });
  if (form.format !== 'auto') query.set('format', form.format);
  for (const field of [...NUMBERS, ...TEXTS]) if (form[field] !== '') query.set(field, form[field]);
  for (const [name, value] of variablesOf(form.env)) query.set(`env.${name}`, value);
  if (form.overwrite) query.set('overwrite', 'true');
  if (form.isPlatform) query.set('team', 'platform');
  return {
    name: 'build template',
    method: 'POST',
    path: `/v1/templates?${query}`,
    file: fileName,
    headers: { 'content-type': mediaTypeOf(fileName) },
  };
}

/** Builds a template from the disk of a sandbox; everything is in the body. */
export function fromSandboxCall(form: TemplateForm, sandboxId: string): Call {
  const texts = TEXTS.filter((field) => form[field] !== '').map((field) => [field, form[field]]);
  const numbers = NUMBERS.filter((field) => form[field] !== '').map((field) => [field, Number(form[field])]);
  const env = variablesOf(form.env);
  return {
    name: 'build template',
    method: 'POST',
    path: `/v1/templates${form.isPlatform ? '?team=platform' : ''}`,
    body: {
      name: form.name,
      sandbox_id: sandboxId,
      ...Object.fromEntries([...numbers, ...texts]),
      ...(env.length > 0 && { env: Object.fromEntries(env) }),
      overwrite: form.overwrite,
    },
  };
}

/** Removes a template of the team, or one of the platform. */
export function deleteTemplateCall({ name, owner }: { name: string; owner: 'platform' | 'team' }): Call {
  const query = owner === 'platform' ? '?team=platform' : '';
  return {
    name: 'delete template',
    method: 'DELETE',
    path: `/v1/templates/${encodeURIComponent(name)}${query}`,
  };
}

/** The first line that is neither empty nor `NAME=value`; undefined when there is none. */
export function badLineOf(env: string): string | undefined {
  return env
    .split('\n')
    .find((line) => line.trim() !== '' && line.slice(0, Math.max(0, line.indexOf('='))).trim() === '');
}

/** Names and values of lines such as `NAME=value`. */
function variablesOf(text: string): [string, string][] {
  return text
    .split('\n')
    .map((line): [string, string] => [
      line.slice(0, Math.max(0, line.indexOf('='))).trim(),
      line.slice(line.indexOf('=') + 1),
    ])
    .filter(([name]) => name !== '');
}

/** The media type that the server takes a file of this name by. What it really is, the server finds out. */
function mediaTypeOf(name: string): string {
  const ending = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  const types: Record<string, string> = {
    tar: 'application/x-tar',
    gz: 'application/gzip',
    tgz: 'application/gzip',
    zst: 'application/zstd',
    xz: 'application/x-xz',
    bz2: 'application/x-bzip2',
  };
  return types[ending] ?? 'application/octet-stream';
}

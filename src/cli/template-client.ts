import type { Static } from 'typebox';
import type { BuildProgress, TemplateFormat, TemplateSpec } from '../actors/host/template-protocol.ts';
import type { Template } from '../http/schemas.ts';
import { Api, isProblem, isRecord, isStream, NDJSON, notAnEdge, readJson, readLines } from './api.ts';
import { sendHttp, type Upload } from './http.ts';
import { ProblemError } from './problem.ts';

export type TemplateView = Static<typeof Template>;
export type TemplateKind = TemplateView['kind'];

/** How a template is to be built. */
export interface BuildOptions {
  spec: TemplateSpec;
  overwrite: boolean;
  /** For everybody instead of for the team. */
  isPlatform: boolean;
}

/** What it is built from. */
export type BuildSource = { upload: Upload; format: TemplateFormat } | { sandboxId: string };

/** Called with what the server says of a build, while it is done. */
export type OnBuild = (progress: BuildProgress) => void;

/** The edge's routes for templates and snapshots as functions. What they throw: see `Api`. */
export class TemplateClient extends Api {
  /** Builds a template and waits until sandboxes can be made from it. */
  async build(source: BuildSource, options: BuildOptions, onBuild: OnBuild): Promise<TemplateView> {
    const { spec, overwrite, isPlatform } = options;
    const isUpload = 'upload' in source;
    const query = isUpload ? queryOf(spec, source.format, overwrite) : new URLSearchParams();
    if (isPlatform) query.set('team', 'platform');
    const request = this.request('POST', `/v1/templates${query.size > 0 ? `?${query}` : ''}`, {
      headers: { accept: `${NDJSON}, application/json;q=0.5` },
      ...(isUpload
        ? { upload: source.upload }
        : { body: { ...spec, sandbox_id: source.sandboxId, overwrite } }),
    });
    const response = await sendHttp(request);
    if (!isStream(response)) return await readJson(request, response);
    for await (const line of readLines(request, response)) {
      if (!isRecord(line)) continue;
      if (isProgress(line.progress)) onBuild(line.progress);
      if (isRecord(line.template)) return line.template as unknown as TemplateView;
      if (isProblem(line.error)) throw new ProblemError(line.error);
    }
    throw notAnEdge(request, 'a stream without a template');
  }

  /** The templates of the team and of the platform. */
  async list(kind?: TemplateKind): Promise<TemplateView[]> {
    const query = kind === undefined ? '' : `?kind=${kind}`;
    return (await this.json<{ templates: TemplateView[] }>('GET', `/v1/templates${query}`)).templates;
  }

  get(name: string, isPlatform = false): Promise<TemplateView> {
    return this.json('GET', templatePath(name, isPlatform));
  }

  delete(name: string, isPlatform = false): Promise<TemplateView> {
    return this.json('DELETE', templatePath(name, isPlatform));
  }

  /** Makes a template from a sandbox, which goes on as it was. */
  snapshot(body: {
    sandbox_id: string;
    name: string;
    memory: boolean;
    overwrite: boolean;
  }): Promise<TemplateView> {
    return this.json('POST', '/v1/snapshots', { body });
  }

  async snapshots(): Promise<TemplateView[]> {
    return (await this.json<{ snapshots: TemplateView[] }>('GET', '/v1/snapshots')).snapshots;
  }

  deleteSnapshot(name: string): Promise<TemplateView> {
    return this.json('DELETE', `/v1/snapshots/${encodeURIComponent(name)}`);
  }
}

function queryOf(
  { env = {}, ...facts }: TemplateSpec,
  format: TemplateFormat,
  overwrite: boolean,
): URLSearchParams {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(facts)) query.set(key, String(value));
  for (const [key, value] of Object.entries(env)) query.set(`env.${key}`, value);
  query.set('format', format);
  if (overwrite) query.set('overwrite', 'true');
  return query;
}

function templatePath(name: string, isPlatform: boolean): string {
  return `/v1/templates/${encodeURIComponent(name)}${isPlatform ? '?team=platform' : ''}`;
}

function isProgress(value: unknown): value is BuildProgress {
  return isRecord(value) && typeof value.stage === 'string';
}

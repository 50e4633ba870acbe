import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { hostCommands } from '../../actors/host/protocol.ts';
import type { TemplateDetails } from '../../actors/host/template-protocol.ts';
import { isGone } from '../../actors/sandbox/protocol.ts';
import { DormouseError } from '../../errors/index.ts';
import { newRequestId, newUploadId, uploadIdForKey } from '../../ids.ts';
import { buildOn, chooseHost, type OnProgress } from '../build.ts';
import { CommandHeaders, idempotencyKeyOf } from '../commands.ts';
import { ASKING, BODY, BUILD, KEYED, STEPS } from '../error-sets.ts';
import { acceptsLines, NDJSON_TYPE, streamLines } from '../line-stream.ts';
import { problemFor } from '../plugins/errors.ts';
import { ownSandbox, sandboxNotFound } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { ref } from '../schemas.ts';
import { BuildBody, BuildQuery, specOfBody, specOfQuery } from '../template-request.ts';
import { changedTeamOf, recordTemplate, replacedBy } from '../templates.ts';
import { discardUpload, requireSize, sendUpload, UPLOAD_BYTES_MAX } from '../upload.ts';

/** Types of files that are taken. What a file really is, the host finds out. */
const UPLOAD_TYPES = [
  'application/x-tar',
  'application/gzip',
  'application/x-gzip',
  'application/zstd',
  'application/x-xz',
  'application/x-bzip2',
  'application/octet-stream',
] as const;

/** A caller who watches is told of the upload this often, in milliseconds. */
const PROGRESS_EVERY_MS = 250;

const bytes = { schema: Type.Unsafe<Readable>({ type: 'string', format: 'binary' }) };

/** Makes templates: from a file, which passes through the edge without staying there, or from a sandbox. */
export async function addTemplateUpload(app: EdgeApp, ports: EdgePorts): Promise<void> {
  // Only here are bodies other than JSON taken: parsers belong to the application that they are added to.
  await app.register(async (scope) => {
    scope.addContentTypeParser([...UPLOAD_TYPES], (_request, payload, done) => done(null, payload));
    addRoute(scope as EdgeApp, ports);
  });
}

function addRoute(app: EdgeApp, ports: EdgePorts): void {
  const { clock } = ports;
  app.post(
    '/v1/templates',
    {
      schema: {
        operationId: 'createTemplate',
        summary: hostCommands.buildTemplate.summary,
        description:
          'From a file, which is the body, with everything else in the query (`env.KEY=VALUE` for variables): a root file ' +
          'system as a tar, plain or compressed, an OCI or `docker save` archive, or an ext4 image. Or from the disk of a ' +
          'sandbox, with everything in a body of JSON. With `Accept: application/x-ndjson` the answer is one JSON document ' +
          'a line: `{"progress"}` while it is done, empty lines while nothing is told, and last `{"template"}` or ' +
          '`{"error"}` with a problem. When it fails before its first line, the answer is a problem with its status. ' +
          'A caller that hangs up cancels it.',
        tags: ['Templates'],
        headers: CommandHeaders,
        querystring: BuildQuery,
        body: {
          content: {
            'application/json': { schema: BuildBody },
            ...Object.fromEntries(UPLOAD_TYPES.map((type) => [type, bytes])),
          },
        },
        response: {
          200: {
            description: 'How far it is, line by line.',
            content: { [NDJSON_TYPE]: { schema: Type.Unsafe<Readable>({ type: 'string' }) } },
          },
          201: ref('Template'),
        },
      },
      config: {
        readsBody: true,
        rules: {
          scope: 'write',
          owner: 'team',
          errors: [...KEYED, ...BODY, ...ASKING, ...BUILD, ...STEPS, 'UPLOAD_BROKEN'],
        },
      },
    },
    async (request, reply) => {
      const build = await (request.body instanceof Readable
        ? planUpload(ports, request, request.body)
        : planSandbox(ports, request));
      const make = async (progress?: OnProgress) => {
        const { details, before } = await build(progress);
        return await recordTemplate(ports, details, before);
      };
      if (acceptsLines(request)) {
        const lines = await streamLines({ clock, problemOf: problemFor(request) }, async (write) => ({
          template: await make((progress) => write({ progress })),
        }));
        return reply.type(NDJSON_TYPE).send(lines);
      }
      const template = await make();
      return reply.code(201).header('location', `/v1/templates/${template.name}`).send(template);
    },
  );
}

/** What is left to do when everything that can be checked before it is. */
type Build = (
  progress?: OnProgress,
) => Promise<{ details: TemplateDetails; before: Awaited<ReturnType<typeof replacedBy>> }>;

/** Everything that can be refused before a byte of the file is read. */
async function planUpload(ports: EdgePorts, request: FastifyRequest, body: Readable): Promise<Build> {
  const { bus, clock, uploadBytesMax: maxBytes = UPLOAD_BYTES_MAX } = ports;
  const query = request.query as BuildQuery;
  const { format = 'auto', overwrite = false } = query;
  const teamId = changedTeamOf(request, query.team);
  const spec = specOfQuery(query);
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  if (length > 0) requireSize(length, maxBytes);
  const before = await replacedBy(ports, request, { teamId, name: spec.name, overwrite });
  const hostId = chooseHost(await bus.hosts.list(), before, { teamId, name: spec.name });
  const key = idempotencyKeyOf(request);
  const uploadId = key === undefined ? newUploadId() : uploadIdForKey(teamId, `${spec.name}\n${key}`);
  const attempt = newRequestId();
  const upload = { hostId, uploadId, attempt, teamId, body, maxBytes, signal: request.caller };
  const totalBytes = Number.isNaN(length) ? null : length;
  return async (tell) => {
    try {
      await sendUpload(ports, { ...upload, progress: everyNowAndThen(clock, totalBytes, tell) });
      const source = { upload_id: uploadId, format };
      const details = await buildOn(
        ports,
        request,
        hostId,
        { team_id: teamId, spec, source, overwrite },
        tell,
      );
      return { details, before };
    } finally {
      await discardUpload(ports, upload);
    }
  };
}

/** The build of a template from a sandbox of the team, on its host. */
async function planSandbox(ports: EdgePorts, request: FastifyRequest): Promise<Build> {
  if (request.headers['content-type'] === undefined)
    throw new DormouseError(
      'INVALID_REQUEST',
      'Send a file as the body, with its Content-Type, or a body of JSON that names a sandbox.',
    );
  const body = request.body as BuildBody;
  const query = request.query as BuildQuery;
  const teamId = changedTeamOf(request, query.team);
  const spec = specOfBody(body, query);
  const sandbox = ownSandbox(request, body.sandbox_id);
  const known = await ports.records.findSandbox(sandbox.teamId, sandbox.id);
  if (!known || isGone(known)) throw sandboxNotFound();
  const { overwrite } = body;
  const before = await replacedBy(ports, request, { teamId, name: spec.name, overwrite });
  const source = { sandbox_id: sandbox.id, team_id: sandbox.teamId };
  return async (tell) => ({
    details: await buildOn(ports, request, known.host_id, { team_id: teamId, spec, source, overwrite }, tell),
    before,
  });
}

/** Tells of an upload at its beginning, at its end, and now and then between. */
function everyNowAndThen(
  clock: EdgePorts['clock'],
  totalBytes: number | null,
  tell: OnProgress | undefined,
): (doneBytes: number) => void {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return (doneBytes) => {
    const now = clock.monotonicMs();
    if (now - toldAtMs < PROGRESS_EVERY_MS && doneBytes !== totalBytes) return;
    toldAtMs = now;
    tell?.({ stage: 'uploading', done_bytes: doneBytes, total_bytes: totalBytes });
  };
}

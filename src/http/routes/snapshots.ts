import { Type } from 'typebox';
import { SnapshotRequest, sandboxCommands } from '../../actors/sandbox/protocol.ts';
import { SANDBOX_ID_PATTERN } from '../../ids.ts';
import { CommandHeaders, sendToSandbox } from '../commands.ts';
import { ASKING, BODY, BUILD, COMMANDS, KEYED, STEPS } from '../error-sets.ts';
import { principalOf } from '../plugins/auth.ts';
import { ownSandbox, snapshotNotFound, templateNameOf } from '../plugins/rules.ts';
import type { EdgeApp, EdgePorts } from '../ports.ts';
import { ref } from '../schemas.ts';
import { removeTemplate } from '../template-removal.ts';
import { changedTeamOf, presentTemplate, recordTemplate, replacedBy } from '../templates.ts';

const tags = ['Snapshots'];
const closed = { additionalProperties: false } as const;

const SnapshotBody = Type.Object(
  {
    sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN, description: 'The sandbox, running or paused' }),
    ...SnapshotRequest.properties,
  },
  closed,
);

/** Templates that are made from sandboxes. */
export function addSnapshotRoutes(app: EdgeApp, ports: EdgePorts): void {
  const { records } = ports;
  const { snapshot } = sandboxCommands;

  app.post(
    '/v1/snapshots',
    {
      schema: {
        operationId: 'createSnapshot',
        summary: snapshot.summary,
        description:
          'A running sandbox stands still for no longer than a pause takes. Sizes are real disk usage.',
        tags,
        headers: CommandHeaders,
        body: SnapshotBody,
        response: { 201: ref('Template') },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'team',
          errors: [...KEYED, ...BODY, ...ASKING, ...COMMANDS, ...BUILD, ...STEPS],
        },
      },
    },
    async (request, reply) => {
      const { sandbox_id, ...body } = request.body;
      const sandbox = ownSandbox(request, sandbox_id);
      const before = await replacedBy(ports, request, { teamId: changedTeamOf(request), ...body });
      const details = await sendToSandbox(ports, request, sandbox, snapshot, body);
      const template = await recordTemplate(ports, details, before);
      return reply.code(201).header('location', `/v1/templates/${template.name}`).send(template);
    },
  );

  app.get(
    '/v1/snapshots',
    {
      schema: {
        operationId: 'listSnapshots',
        summary: 'Lists the snapshots of the team, by name.',
        tags,
        response: { 200: Type.Object({ snapshots: Type.Array(ref('Template')) }, closed) },
      },
      config: { rules: { scope: 'read', owner: 'team', errors: KEYED } },
    },
    async (request) => {
      const { teamId } = principalOf(request);
      const templates = await records.listTemplates(teamId, 'snapshot');
      return { snapshots: templates.filter((one) => one.teamId === teamId).map(presentTemplate) };
    },
  );

  app.delete(
    '/v1/snapshots/:name',
    {
      schema: {
        operationId: 'deleteSnapshot',
        summary: 'Removes a snapshot, unless disks stand on its image.',
        tags,
        params: Type.Object({ name: Type.String({ description: 'Name of the snapshot' }) }),
        headers: CommandHeaders,
        response: { 200: ref('Template') },
      },
      config: {
        rules: {
          scope: 'write',
          owner: 'snapshot',
          errors: [
            ...KEYED,
            ...BODY,
            ...ASKING,
            'SNAPSHOT_NOT_FOUND',
            'TEMPLATE_IN_USE',
            'DISK_FAILED',
            'DEVICE_BUSY',
          ],
        },
      },
    },
    async (request) => {
      const teamId = changedTeamOf(request);
      const found = await records.findTemplate(teamId, templateNameOf(request));
      if (found?.teamId !== teamId || found.kind !== 'snapshot') throw snapshotNotFound();
      await removeTemplate(ports, request, found);
      return presentTemplate(found);
    },
  );
}

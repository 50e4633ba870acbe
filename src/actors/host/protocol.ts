import { type Static, Type } from 'typebox';
import { COMMAND_ID_PATTERN, HOST_ID_PATTERN, SANDBOX_ID_PATTERN, TEAM_ID_PATTERN } from '../../ids.ts';
import { SandboxOptions, SandboxState, SandboxView } from '../sandbox/protocol.ts';
import { defineCommand } from '../system/command.ts';
import {
  Holdings,
  InspectionRequest,
  Inspections,
  Leak,
  Usage,
  UsageRequest,
} from './inspection-protocol.ts';
import {
  BuildTemplate,
  DiscardUpload,
  TemplateDetails,
  TemplateInfo,
  TemplateRef,
  UploadPiece,
  UploadReply,
} from './template-protocol.ts';

export { TemplateDetails, TemplateInfo };

/** The commands of a host actor, subject `dormouse.host.<host>.<command>`, and what a host tells of itself. */

const closed = { additionalProperties: false } as const;
const None = Type.Object({}, closed);

/** What the scheduler asks a host to make. Complete: every default is filled in. */
export const CreateSandbox = Type.Object(
  {
    sandbox_id: Type.String({ pattern: SANDBOX_ID_PATTERN }),
    team_id: Type.String({ pattern: TEAM_ID_PATTERN }),
    command_id: Type.String({ pattern: COMMAND_ID_PATTERN }),
    options: SandboxOptions,
  },
  closed,
);
export type CreateSandbox = Static<typeof CreateSandbox>;

/** A host's entry in the directory `dormouse_hosts`. Written again every few seconds; it lives as long as its TTL. */
export const HostInfo = Type.Object(
  {
    host_id: Type.String({ pattern: HOST_ID_PATTERN }),
    version: Type.String(),
    state: Type.Enum(['starting', 'ready', 'draining', 'stopped']),
    started_at: Type.String({ format: 'date-time' }),
    at: Type.String({ format: 'date-time' }),
    accelerator: Type.Enum(['kvm', 'tcg']),
    disk_driver: Type.String(),
    vmm_driver: Type.String(),
    capacity: Type.Object(
      { vcpus: Type.Integer(), memory_mb: Type.Integer(), disk_free_mb: Type.Integer() },
      closed,
    ),
    /** What the sandboxes that run or are on their way take. */
    used: Type.Object(
      { vcpus: Type.Integer(), memory_mb: Type.Integer(), sandboxes: Type.Integer() },
      closed,
    ),
    templates: Type.Array(TemplateInfo),
  },
  closed,
);
export type HostInfo = Static<typeof HostInfo>;

export const hostCommands = {
  create: defineCommand({
    name: 'create',
    summary: 'Makes a sandbox on this host and answers when it runs.',
    request: CreateSandbox,
    reply: SandboxView,
    defaultTimeoutMs: 120_000,
  }),
  info: defineCommand({
    name: 'info',
    summary: 'Says what the host is, has and uses.',
    request: None,
    reply: HostInfo,
    defaultTimeoutMs: 5_000,
  }),
  sandboxes: defineCommand({
    name: 'sandboxes',
    summary: 'Lists the sandboxes that this host keeps.',
    request: None,
    reply: Type.Object(
      {
        sandboxes: Type.Array(
          Type.Object({ id: Type.String(), team_id: Type.String(), state: SandboxState }, closed),
        ),
      },
      closed,
    ),
    defaultTimeoutMs: 5_000,
  }),
  drain: defineCommand({
    name: 'drain',
    summary: 'Takes no new sandboxes from now on; those that are here stay.',
    request: None,
    reply: HostInfo,
    defaultTimeoutMs: 5_000,
  }),
  upload: defineCommand({
    name: 'upload',
    summary: 'Takes a piece of a file that a template is to be built from.',
    request: UploadPiece,
    reply: UploadReply,
    defaultTimeoutMs: 30_000,
  }),
  discardUpload: defineCommand({
    name: 'discard-upload',
    summary: 'Forgets an upload.',
    request: DiscardUpload,
    reply: None,
    defaultTimeoutMs: 5_000,
  }),
  buildTemplate: defineCommand({
    name: 'build-template',
    summary: 'Makes a template and answers when sandboxes can be made from it.',
    request: BuildTemplate,
    reply: TemplateDetails,
    defaultTimeoutMs: 1_800_000,
  }),
  template: defineCommand({
    name: 'template',
    summary: 'Says all of a template that this host has.',
    request: TemplateRef,
    reply: TemplateDetails,
    defaultTimeoutMs: 5_000,
  }),
  deleteTemplate: defineCommand({
    name: 'delete-template',
    summary: 'Removes a template from this host, unless disks stand on its image.',
    request: TemplateRef,
    reply: TemplateDetails,
    defaultTimeoutMs: 60_000,
  }),
  leaks: defineCommand({
    name: 'leaks',
    summary: 'Compares what the host holds with what its sandboxes say they hold.',
    request: None,
    reply: Type.Object({ leaks: Type.Array(Leak) }, closed),
    defaultTimeoutMs: 30_000,
  }),
  inspect: defineCommand({
    name: 'inspect',
    summary: 'Says what the host or its loop registry is in the middle of, and what happened to it last.',
    request: InspectionRequest,
    reply: Inspections,
    defaultTimeoutMs: 5_000,
  }),
  holdings: defineCommand({
    name: 'holdings',
    summary:
      "Lists what the host holds of the machine: slots, loop devices, devices of disks, and what is nobody's.",
    request: None,
    reply: Holdings,
    defaultTimeoutMs: 30_000,
  }),
  usage: defineCommand({
    name: 'usage',
    summary: "Says how much of the disk each of a team's sandboxes really takes.",
    request: UsageRequest,
    reply: Usage,
    defaultTimeoutMs: 30_000,
  }),
} as const;
export type HostCommandName = keyof typeof hostCommands;

import type { Recording } from '../../../machines/recording.ts';

/** Reads a recording of the simulation that a person has opened. The file can be anything, so nothing of it is believed. */

/** What is wrong with a file, in words for the person who opened it. */
export class RecordingError extends Error {}

const KINDS: readonly unknown[] = ['sandbox', 'host', 'loop-registry'];

/**
 * Reads the text of a file.
 *
 * @throws `RecordingError`
 */
export function readRecording(text: string): Recording {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RecordingError(`It is no JSON: ${error instanceof Error ? error.message : error}`);
  }
  const file = objectOf(value, 'It');
  if (file.v !== 1) throw new RecordingError(`Its version is ${JSON.stringify(file.v)}; this page reads 1.`);
  stringOf(file.scenario, '`scenario`');
  if (file.seed !== undefined) numberOf(file.seed, '`seed`');
  numberOf(file.simulated_ms, '`simulated_ms`');
  textsOf(file.violations, '`violations`');
  for (const [at, one] of listOf(file.faults, '`faults`').entries()) {
    const fault = objectOf(one, `\`faults\` ${at}`);
    stringOf(fault.class, `The class of fault ${at}`);
    stringOf(fault.kind, `The kind of fault ${at}`);
    numberOf(fault.at, `The place of fault ${at}`);
  }
  for (const [at, frame] of listOf(file.frames, '`frames`').entries()) checkFrame(frame, `Frame ${at}`);
  return value as Recording;
}

function checkFrame(value: unknown, what: string): void {
  const frame = objectOf(value, what);
  numberOf(frame.at_ms, `${what}: \`at_ms\``);
  if (frame.text !== undefined) stringOf(frame.text, `${what}: \`text\``);
  if (frame.inspection === undefined) return;
  const inspection = objectOf(frame.inspection, `${what}: \`inspection\``);
  if (!KINDS.includes(inspection.kind))
    throw new RecordingError(`${what} is of a kind that is not known: ${JSON.stringify(inspection.kind)}.`);
  for (const name of ['id', 'to', 'cause', 'at']) stringOf(inspection[name], `${what}: \`${name}\``);
  for (const name of ['from', 'refused', 'step', 'command_id'])
    if (inspection[name] !== null) stringOf(inspection[name], `${what}: \`${name}\``);
  numberOf(inspection.seq, `${what}: \`seq\``);
  if (inspection.step_duration_ms !== null)
    numberOf(inspection.step_duration_ms, `${what}: \`step_duration_ms\``);
  textsOf(inspection.allowed, `${what}: \`allowed\``);
  if (inspection.error !== null) {
    const error = objectOf(inspection.error, `${what}: \`error\``);
    stringOf(error.code, `${what}: the error's \`code\``);
    stringOf(error.detail, `${what}: the error's \`detail\``);
    if (error.causes !== undefined) textsOf(error.causes, `${what}: the error's \`causes\``);
  }
  if (inspection.moment === null) return;
  const moment = objectOf(inspection.moment, `${what}: \`moment\``);
  objectOf(moment.context, `${what}: \`context\``);
  for (const held of listOf(moment.ledger, `${what}: \`ledger\``)) {
    const { kind, since } = objectOf(held, `${what}: an entry of \`ledger\``);
    textsOf([kind, since], `${what}: an entry of \`ledger\``);
  }
  for (const armed of listOf(moment.timers, `${what}: \`timers\``)) {
    const { name, at } = objectOf(armed, `${what}: an entry of \`timers\``);
    textsOf([name, at], `${what}: an entry of \`timers\``);
  }
}

function textsOf(value: unknown, what: string): void {
  for (const text of listOf(value, what)) stringOf(text, what);
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RecordingError(`${what} is no object.`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new RecordingError(`${what} is no list.`);
  return value;
}

function stringOf(value: unknown, what: string): void {
  if (typeof value !== 'string') throw new RecordingError(`${what} is no text.`);
}

function numberOf(value: unknown, what: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new RecordingError(`${what} is no number.`);
}

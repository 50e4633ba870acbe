import type { SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';
import type { Inspection, Moment } from '../actors/system/inspection.ts';

/**
 * What callers see of sandboxes. Reasons of failures are written by hosts for people; where they name files of the host,
 * callers are told that there is a file, not where.
 */

/** An absolute path of two parts or more that is not part of a URL or of a longer word. */
const HOST_PATH = /(?<![\w:/.])\/(?:[\w.@+~-]+\/)+[\w.@+~-]*/g;

export function withoutHostPaths(text: string): string {
  return text.replace(HOST_PATH, '(file)');
}

export function presentSandbox(view: SandboxView): SandboxView {
  if (view.last_error === null) return view;
  const { code, detail } = view.last_error;
  return { ...view, last_error: { code, detail: withoutHostPaths(detail) } };
}

/** What happened to a sandbox, with all that is known of why. */
export function presentTransition(transition: SandboxTransition): SandboxTransition {
  const { error, sandbox, moment } = transition;
  return {
    ...transition,
    error: error && presentError(error),
    sandbox: presentSandbox(sandbox),
    ...(moment && { moment: presentMoment(moment) }),
  };
}

/** What happened to a sandbox that somebody looks at. */
export function presentInspection(inspection: Inspection): Inspection {
  const { error, moment } = inspection;
  return {
    ...inspection,
    error: error && presentError(error),
    moment: moment && presentMoment(moment),
  };
}

/** A transition of the records as it was told live to those who looked. */
export function inspectionOf(transition: SandboxTransition): Inspection {
  const { v, sandbox_id, team_id, host_id, seq, execution, at, from, to, cause } = transition;
  const { command_id, step, step_duration_ms, error, sandbox, moment = null } = transition;
  return {
    ...{ v, kind: 'sandbox', id: sandbox_id, team_id, host_id, seq, execution, at, from, to, cause },
    ...{ command_id, step, step_duration_ms, error, refused: null, allowed: sandbox.allowed, moment },
  };
}

function presentError<E extends { detail: string; causes?: string[] }>(error: E): E {
  return {
    ...error,
    detail: withoutHostPaths(error.detail),
    ...(error.causes && { causes: error.causes.map(withoutHostPaths) }),
  };
}

/** Errors in a context are the only texts in it that hosts have written for people. */
function presentMoment(moment: Moment): Moment {
  const context = Object.entries(moment.context).map(([field, value]) => [
    field,
    isError(value) ? presentError(value) : value,
  ]);
  return { ...moment, context: Object.fromEntries(context) };
}

function isError(value: unknown): value is { detail: string; causes?: string[] } {
  return typeof (value as { detail?: unknown } | null)?.detail === 'string';
}

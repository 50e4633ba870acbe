import type { SandboxTransition, SandboxView } from '../actors/sandbox/protocol.ts';

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

/** A transition without the causes of its error, which are for the operator. */
export function presentTransition(transition: SandboxTransition): SandboxTransition {
  const { error, sandbox } = transition;
  return {
    ...transition,
    error: error && { code: error.code, detail: withoutHostPaths(error.detail) },
    sandbox: presentSandbox(sandbox),
  };
}

import type { Finding } from './finding.ts';

/** Findings for a person: what is so first, and below it what that costs and what to do. */
export function renderFindings(findings: readonly Finding[]): string {
  const nameWidth = Math.max(...findings.map(({ name }) => name.length), 'to do'.length);
  const line = (status: string, name: string, text: string): string =>
    `${status.padEnd('missing'.length)}  ${name.padEnd(nameWidth)}  ${text}`.trimEnd();
  return findings
    .flatMap(({ status, name, found, cost, remedy }) => [
      line(status, name, found),
      ...(cost === undefined ? [] : [line('', 'costs', cost)]),
      ...(remedy === undefined ? [] : [line('', 'to do', remedy)]),
    ])
    .join('\n');
}

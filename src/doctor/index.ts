import { systemClock, within } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { pathsOf } from '../paths.ts';
import { examine } from './examine.ts';
import type { Examination } from './finding.ts';
import { renderFindings } from './render.ts';

export { examine } from './examine.ts';
export type { Examination, Finding, FindingStatus } from './finding.ts';
export { renderFindings } from './render.ts';

/** The first trial of KVM boots a kernel, twice at worst. */
const TIMEOUT_MS = 120_000;

/**
 * What `dormouse doctor` prints.
 *
 * @param options `json`: one JSON document instead of a text; `accelerator`: the virtual machine monitor's answer
 * @returns `ok` is false when something is missing without which Dormouse does not work
 * @throws `DATA_DIR_TOO_LONG`
 */
export async function runDoctor(
  config: Config,
  options: { json: boolean; accelerator: Examination['accelerator'] },
): Promise<{ text: string; ok: boolean }> {
  const { accelerator, json } = options;
  const findings = await within(systemClock, TIMEOUT_MS, (signal) =>
    examine({ config, paths: pathsOf(config.dataDir), accelerator, signal }),
  );
  const ok = findings.every(({ status }) => status !== 'missing');
  return { ok, text: json ? JSON.stringify({ ok, findings }, null, 2) : renderFindings(findings) };
}

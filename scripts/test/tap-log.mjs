// @ts-check

/**
 * Turns tap's TAP output into a log that can be read: one line for a file that passed, and of a file that did not all but
 * what passed in it. Knows as much of TAP 14 as tap's runner writes: a file is a subtest, its details are indented and come before
 * its result or, when files run side by side, in braces after it; the diagnosis of a failed one follows as YAML.
 */
const BRACES_END = '}';
const DIAGNOSIS_END = '  ...';
/** What a test says to whoever reads the log of a run that passed, as a comment such as `# kernel: 12 devices`. */
const NEWS =
  /^\s*# ((?:kernel|schedules simulated|faults injected|transitions covered|mutations caught|crash points tried): .*)$/;

/** @param {(line: string) => void} print */
export function tapLog(print) {
  /** @type {string[]} lines of the file whose result is not known yet */
  let details = [];
  /** @type {{ result: string, end: string } | undefined} result whose details still come, and the line that ends them */
  let open;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let sawTotals = false;

  /** @param {string} result */
  function finish(result) {
    const { ok, name, comment } = parseResult(result);
    const skipped = /^(SKIP|TODO)\b/i.test(comment);
    print(
      `${ok || skipped ? 'ok    ' : 'FAILED'} ${name}${comment ? `  (${comment.replace(/^time=/, '')})` : ''}`,
    );
    if (!ok && !skipped) for (const line of withoutPassed(details)) print(`    ${line}`);
    details = [];
    open = undefined;
  }

  return {
    counts,
    /** False while tap has not said what it counted: it did not come to its end. */
    isComplete: () => sawTotals,
    /** @param {string} line */
    line(line) {
      if (open?.end === DIAGNOSIS_END && !/^\s/.test(line)) finish(open.result);
      const news = NEWS.exec(line)?.[1];
      if (news) print(news);
      const totals = /^# \{ total: \d+,? ?(.*)\}$/.exec(line);
      if (totals) {
        const count = (/** @type {string} */ name) =>
          Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals[1] ?? '')?.[1] ?? 0);
        counts.passed = count('pass');
        counts.failed = count('fail');
        counts.skipped = count('skip') + count('todo');
        sawTotals = true;
      } else if (open) {
        if (line !== BRACES_END) details.push(line);
        if (line === open.end) finish(open.result);
      } else if (/^(not )?ok\b.* \{$/.test(line)) open = { result: line.slice(0, -2), end: BRACES_END };
      else if (/^not ok\b/.test(line)) open = { result: line, end: DIAGNOSIS_END };
      else if (/^ok\b/.test(line)) finish(line);
      else if (/^\s/.test(line) || line.startsWith('# Subtest')) details.push(line);
      else if (line && !/^(TAP version|1\.\.\d+|# time=|# No coverage)/.test(line)) print(line);
    },
  };
}

/**
 * Of the lines of a file those that are not about what passed, so that what failed is seen at once.
 *
 * @param {readonly string[]} lines
 */
function withoutPassed(lines) {
  /** @type {string[]} */
  const kept = [];
  for (const line of lines) {
    const [, indent, name = ''] = /^(\s*)ok \d+(?: - )?(.*?)(?: # time=.*)?$/.exec(line) ?? [];
    if (indent === undefined) {
      if (!/^\s*(1\.\.\d+)?$/.test(line)) kept.push(line);
      continue;
    }
    // The result of a subtest stands below what is in it, which is indented further.
    const heading = kept.lastIndexOf(`${indent}# Subtest: ${name}`);
    if (heading >= 0 && kept.slice(heading + 1).every((inner) => inner.startsWith(`${indent} `)))
      kept.splice(heading);
  }
  return kept;
}

/** @param {string} line such as `not ok 3 - test/x.test.ts # time=12ms` */
function parseResult(line) {
  const [, not, name = '', comment = ''] = /^(not )?ok \d+(?: - )?(.*?)(?: # (.*))?$/.exec(line) ?? [];
  return { ok: not === undefined, name, comment };
}

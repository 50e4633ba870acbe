import { catalogue } from '../../src/errors/catalogue.ts';

/** `docs/errors.md`, from the catalogue of errors. */

const ANSWERS = {
  refused: 'Change the request: as it is, it cannot succeed.',
  retry:
    'Send the same request again, after `Retry-After` when the answer has one, with the same `Idempotency-Key`.',
  stuck: 'Tell the operator: the log has the causes under the id in `instance`.',
};

/** The whole of `docs/errors.md`. */
export function errorsDocument() {
  const entries = Object.entries(catalogue);
  const sections = Object.entries(ANSWERS).map(([answer, advice]) => {
    const rows = entries
      .filter(([, entry]) => entry.answer === answer)
      .sort(([a, { status: first }], [b, { status: second }]) => first - second || (a < b ? -1 : 1))
      .map(([code, { status, title }]) => `| <a id="${code}"></a>\`${code}\` | ${status} | ${title} |`);
    return [`## ${answer}`, '', advice, '', '| code | status | meaning |', '|---|---|---|', ...rows].join(
      '\n',
    );
  });
  return `${[
    '# Errors',
    '<!-- Made by scripts/generate-docs.mjs from src/errors/catalogue.ts. Do not edit. -->',
    'Every error has a code that does not change. Over HTTP it is a problem document (RFC 9457,\n' +
      '`application/problem+json`); over NATS the code is in the body and the status in `Nats-Service-Error-Code`.',
    '```json\n' +
      JSON.stringify(
        {
          type: 'urn:dormouse:error:SANDBOX_WRONG_STATE',
          title: catalogue.SANDBOX_WRONG_STATE.title,
          status: catalogue.SANDBOX_WRONG_STATE.status,
          detail:
            'The sandbox is paused and does not take "pause". It takes resume, restart, resize, destroy, snapshot, fork.',
          code: 'SANDBOX_WRONG_STATE',
          instance: 'urn:dormouse:request:r-xw5nn3zkaz6mrbfdfgmy',
          retryable: false,
          state: 'paused',
          allowed: ['resume', 'restart', 'resize', 'destroy', 'snapshot', 'fork'],
        },
        null,
        2,
      ) +
      '\n```',
    'What a caller can do depends on the kind of error. `retryable` is true for `retry`.',
    ...sections,
  ].join('\n\n')}\n`;
}

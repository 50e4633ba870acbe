import type { JSX } from 'preact';
import type { Moment } from '../../lib/types.ts';
import { contextLines, goneFrom } from './changes.ts';

/** The part of the machine's context that may be shown, and what the transition changed of it. */
export function ContextPanel({
  moment,
  before,
}: {
  moment: Moment | null;
  before: Moment | null;
}): JSX.Element {
  return (
    <section class="panel" data-panel="context" aria-labelledby="context-title">
      <h2 id="context-title">Context</h2>
      {moment ? (
        <ContextTable moment={moment} before={before} />
      ) : (
        <p class="quiet">Not recorded for this moment.</p>
      )}
    </section>
  );
}

const SIGNS = { new: '+', changed: '±' } as const;

function ContextTable({ moment, before }: { moment: Moment; before: Moment | null }): JSX.Element {
  const old = before?.context ?? null;
  return (
    <table class="context">
      <tbody>
        {contextLines(moment.context, old).map(({ path, name, depth, value, change }) => (
          <tr key={path} data-change={change}>
            <td class="context-sign">
              <span aria-hidden="true">{change && SIGNS[change]}</span>
              {change && <span class="visually-hidden">{change}</span>}
            </td>
            <th scope="row" style={{ paddingLeft: `${depth}em` }}>
              {name}
            </th>
            <td>{value}</td>
          </tr>
        ))}
        {goneFrom(moment.context, old).map((name) => (
          <tr key={name} data-change="gone">
            <td class="context-sign">−</td>
            <th scope="row">{name}</th>
            <td>is gone</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

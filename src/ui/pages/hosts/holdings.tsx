import type { ComponentChildren, JSX } from 'preact';
import { Link } from '../../lib/router.tsx';
import type { Holdings } from '../../lib/types.ts';

/** What a host holds of its machine, kind by kind. */

/** What nobody says that they hold: it should be empty. */
export function Leaks({ leaks }: { leaks: Holdings['leaks'] }): JSX.Element {
  if (leaks.length === 0)
    return (
      <p class="panel host-no-leaks">
        <span aria-hidden="true">●</span> No leak: everything that is held belongs to a sandbox.
      </p>
    );
  return (
    <Section title="Leaks" isBad>
      <table>
        <Head titles={['Kind', 'Name', 'What is wrong']} />
        <tbody>
          {leaks.map(({ kind, name, detail }) => (
            <tr key={`${kind} ${name}`}>
              <td>{kind}</td>
              <td class="mono">{name}</td>
              <td>{detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}

export function Slots({ slots: { used, spare } }: { slots: Holdings['slots'] }): JSX.Element {
  return (
    <Section title="Network slots">
      <p>
        <b class="mono">{used}</b> used, <b class="mono">{spare}</b> ready
      </p>
    </Section>
  );
}

export function Loops({ loops }: { loops: Holdings['loops'] }): JSX.Element {
  return (
    <Section title="Loop devices">
      {loops.length === 0 ? (
        <p class="dim">None.</p>
      ) : (
        <table>
          <Head titles={['Device', 'Image', 'Holders']} />
          <tbody>
            {loops.map(({ device, image, holders }) => (
              <tr key={device}>
                <td class="mono">{device}</td>
                <td class="mono">{image}</td>
                <td class="mono">
                  {holders.length === 0 ? <span class="dim">nobody</span> : holders.join(' ')}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

export function Devices({ devices }: { devices: Holdings['devices'] }): JSX.Element {
  return (
    <Section title="Device-mapper devices">
      {devices.length === 0 ? (
        <p class="dim">None.</p>
      ) : (
        <table>
          <Head titles={['Device', 'Kind', 'Sandbox']} />
          <tbody>
            {devices.map(({ name, kind, sandbox_id }) => (
              <tr key={name}>
                <td class="mono">{name}</td>
                <td>{kind}</td>
                <td class="mono">
                  {sandbox_id === null ? (
                    <span class="dim">nobody's</span>
                  ) : (
                    <Link href={`/visualizer/sandbox/${sandbox_id}`}>{sandbox_id}</Link>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

function Section({
  title,
  isBad = false,
  children,
}: {
  title: string;
  isBad?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="panel" aria-label={title} data-bad={isBad}>
      <h2>{isBad ? `✕ ${title}` : title}</h2>
      {children}
    </section>
  );
}

function Head({ titles }: { titles: readonly string[] }): JSX.Element {
  return (
    <thead>
      <tr>
        {titles.map((title) => (
          <th key={title} scope="col">
            {title}
          </th>
        ))}
      </tr>
    </thead>
  );
}

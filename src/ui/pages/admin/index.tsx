import type { FunctionComponent, JSX } from 'preact';
import { Link, location } from '../../lib/router.tsx';
import './admin.css';
import { AllTemplates } from './all-templates.tsx';
import { Audit } from './audit.tsx';
import { TeamView } from './team.tsx';
import { Teams } from './teams.tsx';

const views: { name: string; title: string; view: FunctionComponent }[] = [
  { name: 'teams', title: 'Teams and keys', view: Teams },
  { name: 'templates', title: 'Templates of all teams', view: AllTemplates },
  { name: 'audit', title: 'Audit log', view: Audit },
];

/** For those who look after the installation: teams, their keys and quotas, all templates, who did what. */
export function Admin(): JSX.Element {
  const { query } = location.value;
  const team = query.get('team');
  const { name, view: View } = views.find((one) => one.name === query.get('view')) ?? {
    name: 'teams',
    view: Teams,
  };
  return (
    <section class="page" data-fill>
      <div class="page-head">
        <h1 tabIndex={-1}>Admin</h1>
        <nav class="tabs" aria-label="Parts of this page">
          {views.map((one) => (
            <Link
              key={one.name}
              href={`/admin?view=${one.name}`}
              aria-current={one.name === name ? 'page' : undefined}
            >
              {one.title}
            </Link>
          ))}
        </nav>
      </div>
      {team !== null && name === 'teams' ? <TeamView key={team} id={team} /> : <View />}
    </section>
  );
}

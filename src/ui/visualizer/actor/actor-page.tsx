import type { JSX } from 'preact';
import { useEffect, useMemo } from 'preact/hooks';
import type { MachineDrawing } from '../../../machines/drawing.ts';
import { may, me } from '../../lib/me.ts';
import type { ActorKind } from '../../lib/types.ts';
import { ActorView } from './actor-view.tsx';
import { modelOf } from './model.ts';
import { actorSource } from './source.ts';
import { liveTravel } from './travel.ts';

/** An actor of the server, live. */
export function ActorPage({
  kind,
  id,
  drawing,
}: {
  kind: ActorKind;
  id: string;
  drawing: MachineDrawing;
}): JSX.Element {
  const source = useMemo(() => actorSource(kind, id), [kind, id]);
  useEffect(() => source.open(), [source]);
  const model = useMemo(
    () => modelOf(drawing, source.entries, liveTravel(source.entries)),
    [drawing, source],
  );
  return (
    <ActorView
      model={model}
      kind={kind}
      id={id}
      source={source}
      team={kind === 'sandbox' && may('write') ? (me.value?.team_id ?? null) : null}
    />
  );
}

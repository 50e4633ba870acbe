import type { MachineDrawing } from '../../machines/drawing.ts';
import { request } from '../lib/api.ts';
import type { ActorKind } from '../lib/types.ts';

/** The drawings of the machines, each asked for once while the page is open. */

const asked = new Map<ActorKind, Promise<MachineDrawing>>();

/**
 * The drawing of a kind of actors.
 *
 * @throws `ApiError`; the next call asks again then
 */
export function drawingOf(kind: ActorKind): Promise<MachineDrawing> {
  const known = asked.get(kind);
  if (known) return known;
  const drawing = request<MachineDrawing>('GET', `/v1/machines/${kind}`);
  asked.set(kind, drawing);
  drawing.catch(() => asked.delete(kind));
  return drawing;
}

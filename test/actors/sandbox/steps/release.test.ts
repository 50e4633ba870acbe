import t from 'tap';
import type { LedgerKind } from '../../../../src/actors/sandbox/context.ts';
import type { SandboxDrivers } from '../../../../src/actors/sandbox/drivers.ts';
import { GuestSessions } from '../../../../src/actors/sandbox/guest-sessions.ts';
import { releaseSteps } from '../../../../src/actors/sandbox/steps/release.ts';
import { gate } from '../../../support/gate.ts';
import { quiet } from '../../../support/quiet.ts';
import { sandboxContext } from '../support.ts';

t.test('an undo that was given up gives nothing more back: the next try is at it', async (t) => {
  const undone: LedgerKind[] = [];
  const released: string[] = [];
  const held = gate();
  const undo = (kind: LedgerKind) => async (): Promise<void> => {
    undone.push(kind);
    if (kind === 'vmm') await held.passed;
  };
  const { releaseAll } = releaseSteps({ sessions: new GuestSessions() } as unknown as SandboxDrivers, {
    live: undo('live'),
    disk: undo('disk'),
    slot: undo('slot'),
    vmm: undo('vmm'),
    snapshot: undo('snapshot'),
  });
  const given = new AbortController();
  const kinds = ['live', 'disk', 'slot', 'vmm'] as const;
  const run = releaseAll.run(sandboxContext(), {
    ...{ signal: given.signal, log: quiet, ledger: kinds.map((kind) => ({ kind, sinceMs: 1 })) },
    released: async (kind) => void released.push(kind),
  });
  given.abort(new Error('given up'));
  held.open();
  await t.rejects(run, { message: 'given up' });
  t.same([undone, released], [['vmm'], ['vmm']], 'what is gone is off the ledger');
});

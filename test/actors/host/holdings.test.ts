import t from 'tap';
import { slotsAndDevices } from '../../../src/actors/host/holdings.ts';
import type { SandboxDrivers } from '../../../src/actors/sandbox/drivers.ts';
import { SANDBOX_ID, SLOT } from '../sandbox/support.ts';

t.test('slots and devices as the machine has them', async (t) => {
  const roots: string[] = [];
  const drivers = {
    network: {
      list: async () => [
        { slot: SLOT, holder: SANDBOX_ID },
        { slot: { ...SLOT, number: 4 }, holder: undefined },
        { slot: { ...SLOT, number: 5 }, holder: undefined },
      ],
    },
    disk: {
      async list(root: string) {
        roots.push(root);
        const ours = { sandboxId: SANDBOX_ID, temporary: false };
        return [
          { kind: 'loop', name: '/dev/loop7', ...ours },
          { kind: 'device', name: '/dev/dm', ...ours },
        ];
      },
    },
  } as unknown as Pick<SandboxDrivers, 'network' | 'disk'>;
  t.same(await slotsAndDevices('/store/sandboxes', drivers), {
    slots: { used: 1, spare: 2 },
    devices: [
      { name: '/dev/dm', kind: 'device', sandbox_id: SANDBOX_ID },
      { name: '/dev/loop7', kind: 'loop', sandbox_id: SANDBOX_ID },
    ],
  });
  t.same(roots, ['/store/sandboxes']);
});

import t from 'tap';
import { newIdentity, newMac } from '../../../src/actors/host/identity.ts';
import { TAP_MAC } from '../../../src/drivers/network/types.ts';

t.test("a MAC address is locally administered, unicast, and nobody else's", async (t) => {
  const macs = Array.from({ length: 1000 }, newMac);
  for (const mac of macs) {
    const [first = 0] = mac.split(':').map((octet) => Number.parseInt(octet, 16));
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || (first & 1) !== 0 || (first & 2) !== 2) t.fail(mac);
  }
  t.equal(new Set(macs).size, macs.length);
  t.notOk(macs.includes(TAP_MAC), 'the gateway has its own');
});

t.test('an identity is drawn anew for each sandbox', async (t) => {
  const all = Array.from({ length: 200 }, newIdentity);
  for (const key of ['mac', 'machineId', 'secret'] as const)
    t.equal(new Set(all.map((identity) => identity[key])).size, all.length, key);
  for (const { machineId, secret } of all)
    if (!/^[0-9a-f]{32}$/.test(machineId) || !/^[0-9a-f]{64}$/.test(secret)) t.fail(`${machineId} ${secret}`);
});

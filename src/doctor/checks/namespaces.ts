import type { Check } from '../finding.ts';
import { ask, cannotOpen } from '../probe.ts';

/** Whether sandboxes can have network slots: namespaces, a tap device in them, and rules. */
export const checkNamespaces: Check = async ({ signal }) => {
  const problems: string[] = [];
  const unshared = await ask('unshare', 'util-linux', ['--net', 'true'], signal);
  if (!unshared.ok) problems.push(unshared.reason);
  const tun = await cannotOpen('/dev/net/tun');
  if (tun !== undefined) problems.push(tun);
  for (const [program, debianPackage] of [
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
  ] as const) {
    const answer = await ask(program, debianPackage, ['-V'], signal);
    if (!answer.ok) problems.push(answer.reason);
  }
  const name = 'network namespaces';
  if (problems.length === 0) return { name, status: 'ok', found: 'can be made, with tap devices' };
  return {
    name,
    status: 'missing',
    found: problems.join('; '),
    cost: 'sandboxes have no network slot, through which the host reaches them',
    remedy: 'run as root; in a container, with CAP_NET_ADMIN, CAP_SYS_ADMIN and the device /dev/net/tun',
  };
};

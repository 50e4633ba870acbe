import { access, statfs } from 'node:fs/promises';
import { ExecaError, execa } from 'execa';
import { DormouseError } from '../../../errors/index.ts';
import { GUEST_GATEWAY, GUEST_PREFIX, type Slot, TAP_MAC } from '../types.ts';
import { hostEnd, TAP, UPLINK } from './layout.ts';
import { NEIGHBOUR_SETTINGS, NO_IPV6, rulesOf, SETTINGS } from './policy.ts';

/** Magic number of nsfs, which a namespace's file is on (linux/magic.h); the file of a half-made one is not. */
const NSFS_MAGIC = 0x6e736673;
/** Longest that one command may take, in milliseconds; each takes a few. */
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * Makes the namespace with its devices, addresses and rules; none of them may exist. Two processes: one `ip` outside,
 * and one shell inside that runs `ip` and `nft`.
 *
 * @throws `NETWORK_FAILED`; what was made then is there still, for `removeSlot`
 */
export async function makeSlot(slot: Slot): Promise<void> {
  const host = hostEnd(slot.number);
  const hasIpv6 = await exists('/proc/sys/net/ipv6');
  // No link-local IPv6 address on the host's end, without a setting of the root namespace.
  const noIpv6 = hasIpv6 ? `link set ${host.device} addrgenmode none\n` : '';
  await run(
    ['ip', '-batch', '-'],
    `netns add ${slot.namespace}
link add ${host.device} type veth peer name ${UPLINK} netns ${slot.namespace}
${noIpv6}addr add ${host.address}/31 dev ${host.device}
link set ${host.device} up
`,
  );
  await run(
    ['nsenter', `--net=${slot.namespacePath}`, 'sh', '-eu'],
    `${assignments({ ...SETTINGS, ...(hasIpv6 ? NO_IPV6 : {}) })}
ip -batch - <<'IP'
link set lo up
link set ${UPLINK} up
addr add ${slot.address}/31 dev ${UPLINK}
route add default via ${host.address}
tuntap add ${TAP} mode tap
link set ${TAP} address ${TAP_MAC}
addr add ${GUEST_GATEWAY}/${GUEST_PREFIX} dev ${TAP}
link set ${TAP} up
IP
${assignments(NEIGHBOUR_SETTINGS)}
nft -f - <<'NFT'
${rulesOf(slot)}
NFT
`,
  );
}

/** Makes sure that neither namespace nor host end of the slot is there, whatever of them was. Throws `NETWORK_FAILED`. */
export async function removeSlot(slot: Slot): Promise<void> {
  const { device } = hostEnd(slot.number);
  const commands = [
    ...((await exists(`/sys/class/net/${device}`)) ? [`link del ${device}`] : []),
    ...((await exists(slot.namespacePath)) ? [`netns del ${slot.namespace}`] : []),
  ];
  if (commands.length > 0) await run(['ip', '-batch', '-'], `${commands.join('\n')}\n`);
}

/** True when nothing on the machine has a name that the slot needs. */
export async function isVacant(slot: Slot): Promise<boolean> {
  const { device } = hostEnd(slot.number);
  return !(await exists(slot.namespacePath)) && !(await exists(`/sys/class/net/${device}`));
}

/** True when the slot's namespace and its host end are there. */
export async function isMade(slot: Slot): Promise<boolean> {
  const { device } = hostEnd(slot.number);
  const isNamespace = await statfs(slot.namespacePath).then(
    ({ type }) => type === NSFS_MAGIC,
    () => false,
  );
  return isNamespace && (await exists(`/sys/class/net/${device}`));
}

/** Shell commands that set kernel settings of the network namespace they run in. */
function assignments(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `echo ${value} >/proc/sys/net/${name}`)
    .join('\n');
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

/**
 * Runs a command with `input` on its standard input. Making and removing run to their end, because half of either helps
 * nobody: there is a limit of time, and no signal. Only with this process do they end (PR_SET_PDEATHSIG), so that they
 * make nothing behind the back of the next agent, which cleans up.
 */
async function run(command: readonly string[], input: string): Promise<void> {
  try {
    await execa('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      input,
      all: true,
      timeout: COMMAND_TIMEOUT_MS,
      env: { LC_ALL: 'C' },
    });
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    const output = String(error.all ?? '').trim() || (error.originalMessage ?? error.shortMessage);
    throw new DormouseError('NETWORK_FAILED', `${command.join(' ')}: ${output}`, {
      data: { command, input, output },
      cause: error,
    });
  }
}

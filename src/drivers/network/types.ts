/**
 * Network slots: a namespace with a tap device for the guest, a veth pair to the host, and address translation, numbered
 * and reused. The guest has the same address in every slot, so a saved machine can wake in any of them.
 */

/** A slot, as it is handed to a virtual machine monitor and journaled. */
export interface Slot {
  number: number;
  /** Name of the network namespace (`ip netns`). */
  namespace: string;
  /** Path for `nsenter --net=`. */
  namespacePath: string;
  /** Name of the tap device inside the namespace. */
  tap: string;
  /** Address under which the host reaches the guest. */
  address: string;
}

/** The guest's own address in every slot, with its prefix length, and its gateway. */
export const GUEST_ADDRESS = '169.254.0.21';
export const GUEST_PREFIX = 30;
export const GUEST_GATEWAY = '169.254.0.22';
/** MAC address of the tap device in every slot: the guest's gateway never changes. */
export const TAP_MAC = '02:64:6d:00:00:01';

export interface NetworkDriver {
  readonly kind: 'namespace' | 'user';

  /** Makes `spare` slots ahead of time and takes over or removes what an earlier agent of this host left behind. */
  start(holders: ReadonlySet<string>, signal: AbortSignal): Promise<void>;

  /** Makes sure that `holder` has a slot, and returns it. Throws `NETWORK_FAILED`. */
  acquire(holder: string, signal: AbortSignal): Promise<Slot>;

  /** Makes sure that `holder` has no slot. The slot is cleaned and used again. */
  release(holder: string, signal: AbortSignal): Promise<void>;

  /** All slots of this host, with their holders (`undefined` for spare ones). */
  list(): Promise<Array<{ slot: Slot; holder: string | undefined }>>;

  /** Removes the spare slots; those that are held stay. */
  stop(): Promise<void>;
}

import { GUEST_ADDRESS, GUEST_GATEWAY, type Slot } from '../types.ts';
import { TAP, UPLINK } from './layout.ts';

/**
 * What a guest may do on the network: answer the host, and nothing of its own accord.
 *
 * | from | to | |
 * |---|---|---|
 * | host | slot's address | translated to the guest's, any protocol and port |
 * | guest | answers to such a connection, and ICMP errors about it | passed |
 * | guest | gateway 169.254.0.22 | ICMP echo only |
 * | guest | host, other slots, slot's own outer address, the world | refused at once (ICMP prohibited) |
 *
 * Both filter chains drop what no rule names. ARP is not IP and passes by; `arp_ignore` keeps it to the gateway's address.
 * Connection tracking decides what an answer is, so a guest that invents source addresses or ports matches nothing.
 *
 * @returns commands for `nft -f`, which applies them all or none (nft(8))
 */
export function rulesOf(slot: Slot): string {
  return `
table ip dormouse {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "${UPLINK}" ip daddr ${slot.address} dnat to ${GUEST_ADDRESS}
  }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "${TAP}" ip daddr ${GUEST_GATEWAY} icmp type echo-request accept
    iifname "${TAP}" reject with icmp type admin-prohibited
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    ct state established,related accept
    iifname "${UPLINK}" oifname "${TAP}" ct status dnat accept
    iifname "${TAP}" reject with icmp type admin-prohibited
  }
}
`;
}

/**
 * Kernel settings of a namespace, below /proc/sys/net; see Documentation/networking/ip-sysctl.rst. Set as defaults before its
 * devices are made, so that these have them from their first moment.
 */
export const SETTINGS: Readonly<Record<string, string>> = {
  'ipv4/ip_forward': '1',
  // Answer and send ARP only for the address of the device it comes in on.
  'ipv4/conf/default/arp_ignore': '1',
  'ipv4/conf/default/arp_announce': '2',
  // Make entries from what a guest announces before it was asked.
  'ipv4/conf/default/arp_accept': '1',
  'ipv4/conf/default/accept_redirects': '0',
  'ipv4/conf/default/send_redirects': '0',
};

/** The same, where the kernel has IPv6: the namespace does without, so the IPv4 rules are all there is to say. */
export const NO_IPV6: Readonly<Record<string, string>> = {
  'ipv6/conf/all/disable_ipv6': '1',
  'ipv6/conf/default/disable_ipv6': '1',
};

/**
 * How the guest's MAC address is found, arp(7). There is no permanent neighbour entry, because each sandbox has an address
 * of its own and a clone changes it once. Instead the guest is asked every 20 ms while packets wait, so the first packet
 * after a wake-up is late by no more than that, and what it announces (gratuitous ARP) is believed at once. Set on the
 * device: a namespace has no defaults of its own for these.
 */
export const NEIGHBOUR_SETTINGS: Readonly<Record<string, string>> = {
  [`ipv4/neigh/${TAP}/retrans_time_ms`]: '20',
  // Two seconds of questions before packets are given up, for a guest that wakes under load.
  [`ipv4/neigh/${TAP}/mcast_solicit`]: '100',
  // An entry that was not confirmed for a while is checked with the guest itself, then asked of everybody again.
  [`ipv4/neigh/${TAP}/ucast_solicit`]: '10',
  [`ipv4/neigh/${TAP}/mcast_resolicit`]: '100',
  // A new address replaces the old one, however young that is.
  [`ipv4/neigh/${TAP}/locktime`]: '0',
};

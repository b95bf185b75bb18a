/**
 * The words of QEMU's monitor about its user network: `hostfwd_add`, `hostfwd_remove`, `info usernet`.
 *
 * Source: the QEMU 7.2 monitor; the table is libslirp's `slirp_connection_info`. Its columns:
 *
 *     Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
 *     TCP[HOST_FORWARD]  13       127.0.0.1  2222       10.0.2.15    22     0     0
 *
 * @module
 */
import type { ForwardRule } from "@skep/contract"

/** What libslirp gives a guest that asks its DHCP server first. */
export const DEFAULT_GUEST = "10.0.2.15"
const ANY = "0.0.0.0"
const ROW = /^(TCP|UDP)\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)/

/** The forwards in the output of `info usernet`; a guest address equal to `guest` is left out of the rule. */
export function parseForwards(text: string, guest: string): readonly ForwardRule[] {
  return text.split("\n").flatMap((line) => {
    const row = ROW.exec(line.trim())
    if (row === null) return []
    const [, transport = "", source = "", sourcePort, destination = "", destinationPort] = row
    return [
      {
        transport: transport === "UDP" ? ("udp" as const) : ("tcp" as const),
        hostAddress: source === "*" ? ANY : source,
        hostPort: Number(sourcePort),
        ...(destination === guest ? {} : { guestAddress: destination }),
        guestPort: Number(destinationPort),
      },
    ]
  })
}

/** The monitor line that adds a forward. Every part of a rule was checked, so nothing in it can end the line. */
export function addLine(netdev: string, rule: ForwardRule, guest: string): string {
  return `hostfwd_add ${netdev} ${hostSide(rule)}-${rule.guestAddress ?? guest}:${rule.guestPort}`
}

/** The monitor line that removes it. */
export function removeLine(netdev: string, rule: ForwardRule): string {
  return `hostfwd_remove ${netdev} ${hostSide(rule)}`
}

function hostSide(rule: ForwardRule): string {
  return `${rule.transport}:${rule.hostAddress}:${rule.hostPort}`
}

/**
 * gvproxy's command line, and the network that it makes without being told of another. Pure.
 *
 * @module
 */
import type { GvproxyOptions } from "./options.ts"

/** It keeps this address for this MAC address, whoever else comes. */
export const GUEST = { mac: "5a:94:ef:e4:0c:ee", address: "192.168.127.2" } as const
/** Leads to the host's loopback. */
export const HOST = "192.168.127.254"

/** `api`: the socket of its HTTP service. Without a port of -1 it listens for SSH on the host's 2222 by itself. */
export function gvproxyArguments(
  { socket, mtu }: Pick<GvproxyOptions, "socket" | "mtu">,
  api: string,
): readonly string[] {
  return [
    ["-listen", `unix://${api}`],
    ["-listen-qemu", `unix://${socket}`],
    ["-mtu", String(mtu)],
    ["-ssh-port", "-1"],
  ].flat()
}

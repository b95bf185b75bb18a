/**
 * Servers that cannot be told: ISC dhcpd appends to its file and rewrites it from memory, systemd-networkd has its leases in memory. Their files are changed while
 * they do not run.
 *
 * @module
 */
import { processesNamed } from "./programs.ts"
import type { LeaseServer, ServerHost } from "./server.ts"

export const iscDhcpd: LeaseServer = {
  name: "isc-dhcpd",
  title: "ISC dhcpd",
  places: ["/var/lib/dhcp/dhcpd.leases", "/var/lib/dhcpd/dhcpd.leases", "/var/db/dhcpd/dhcpd.leases"],
  whileRunning: "refuse",
  next: "Stop isc-dhcp-server, prune, and start it again",
  isRunning: (_path, host) => runs("dhcpd", host),
}

export const networkd: LeaseServer = {
  name: "networkd",
  title: "systemd-networkd",
  places: ["/var/lib/systemd/network/dhcp-server-lease/*"],
  whileRunning: "refuse",
  next: "Stop systemd-networkd, prune, and start it again",
  // The kernel keeps 15 bytes of a name.
  isRunning: (_path, host) => runs("systemd-network", host),
}

/** A guess from the name: which of several has the file cannot be said, so one that runs is one too many. */
async function runs(name: string, { platform, root }: ServerHost): Promise<boolean | undefined> {
  return platform === "linux" ? processesNamed(name, root).length > 0 : undefined
}

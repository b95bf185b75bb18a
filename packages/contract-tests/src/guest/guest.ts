/**
 * A guest that a network's contract suite can make act: whatever runs a line of shell behind the network under test.
 *
 * Its programs are those that a busybox and Debian share: ip, udhcpc, socat, sha256sum, nslookup.
 *
 * @module
 */

export interface GuestOutcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What the guest was given by DHCP. */
export interface GuestLease {
  readonly address: string
  readonly prefix: number
  readonly router: string
  readonly dns: readonly string[]
  readonly mtu?: number
}

export interface NetworkGuest {
  /** Of its interface to the network. */
  readonly interface: string
  /** Asks a DHCP server as a client that has just started does, and takes what it gives. Rejects where nobody answers. */
  lease(): Promise<GuestLease>
  /** Runs a line to its end, which it has to come to by itself. */
  run(line: string, input?: Uint8Array): Promise<GuestOutcome>
  /** Runs a line in the background until it is disposed. Resolves when it has printed `ready`, on either stream. */
  serve(line: string, ready: string): Promise<AsyncDisposable>
}

/** Reads what `ENVIRONMENT` printed in a udhcpc script. */
export function parseLease(text: string): GuestLease | undefined {
  const told = new Map(text.split("\n").map((line) => [line.split("=")[0] ?? "", line.split("=")[1] ?? ""]))
  const [address, mask, router] = [told.get("ip"), told.get("mask"), told.get("router")]
  if (address === undefined || mask === undefined || router === undefined) return undefined
  const mtu = told.get("mtu")
  return {
    address,
    prefix: Number(mask),
    router: router.split(" ")[0] ?? "",
    dns: (told.get("dns") ?? "").split(" ").filter((server) => server !== ""),
    ...(mtu === undefined ? {} : { mtu: Number(mtu) }),
  }
}

/** For udhcpc: takes the lease and prints it. */
export const LEASE_SCRIPT = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip -4 addr flush dev "$interface"
[ -z "$mtu" ] || ip link set "$interface" mtu "$mtu" 2>/dev/null
ip addr replace "$ip/$mask" dev "$interface"
for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; break; done
for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
printf '%s\\n' "ip=$ip" "mask=$mask" "router=$router" "dns=$dns" \${mtu:+"mtu=$mtu"}
`

/**
 * Takes a lease and prints it, in a guest whose files are only to be read but for /tmp: `$INTERFACE` stands for the interface. Connections live through it,
 * as the address is not taken away meanwhile.
 */
export const LEASE_LINE: string = [
  "cat > /tmp/contract-lease <<'END'",
  LEASE_SCRIPT.replace(/^ip -4 addr flush.*\n/m, "").trimEnd(),
  "END",
  "chmod 755 /tmp/contract-lease",
  "udhcpc -f -q -n -t 5 -T 1 -A 1 -i $INTERFACE -s /tmp/contract-lease",
].join("\n")

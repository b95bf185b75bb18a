/**
 * The leases role: what a DHCP server has given away, and taking back what nobody uses.
 *
 * One instance looks after the leases of one server, ours or a foreign one. The server goes on by itself: whoever has an address keeps it, and what is
 * decided here is decided again when the server's leases have changed meanwhile.
 *
 * skep-network takes back by `DELETE /leases/MACHINE` all that a machine had, and refuses with "busy" while the machine is attached to it.
 *
 * Events: `lease-released`, with `address`, `reason` and what is known of `machine`, `mac` and `name`; `leases-swept` with `removed` and `kept`.
 *
 * @module
 */
import type { Counters, Running } from "./sidecar.ts"

/**
 * - "live": it is not over, and a machine has it, or may have it: nobody could say
 * - "stale": it is not over, but no machine has it that anything here knows of, and nobody answers at the address
 * - "expired": its time is over
 * - "duplicate": a newer one of the same client, or of the same address, is there
 * - "reserved": kept for a client by whoever wrote the server's files
 * - "declined": a client found that somebody else has the address
 * - "free": the entry is there, but the address is nobody's
 */
export type LeaseKind = "live" | "stale" | "expired" | "duplicate" | "reserved" | "declined" | "free"

/** Whose a lease is, by the files of the tool that made the machine. */
export interface LeaseOwner {
  /** "skep", "lima", "colima", "minikube", "docker-machine", "multipass", "podman", "libvirt". */
  readonly tool: string
  readonly machine: string
  /** Missing where it cannot be said. */
  readonly running?: boolean
  /** By what it is known. A name is what anybody may call himself. */
  readonly by: "server" | "mac" | "client-id" | "name" | "address"
  /** The file that says so. */
  readonly path: string
}

/** One lease, as it is now. Text in it is of the guest: it may have anything in it. */
export interface LeaseEntry {
  /** Which one is meant. It is another one as soon as the lease has been renewed. */
  readonly key: string
  readonly address: string
  /** `52:54:00:0a:0b:0c` */
  readonly mac?: string
  /** Option 61 with its type byte, as the MAC address is written. */
  readonly clientId?: string
  readonly name?: string
  /** Milliseconds of the epoch; missing where it never ends or nobody says when. */
  readonly expires?: number
  readonly kind: LeaseKind
  /** Why it is of that kind, in a sentence. */
  readonly reason: string
  readonly owner?: LeaseOwner
  /** The file that says so, and from which line on. */
  readonly path: string
  readonly line: number
}

/** How many addresses a server has. */
export interface LeasePool {
  readonly network: string
  readonly first: string
  readonly last: string
  /** All that may be given away. */
  readonly size: number
  /** Of those, how many cannot be given to somebody new now. */
  readonly used: number
  readonly free: number
  /** When the first of them comes back by itself; milliseconds of the epoch. */
  readonly nextFree?: number
  /** When none is left, if as many are given away as in the time that a lease lasts; milliseconds of the epoch. */
  readonly exhausted?: number
}

/** Which leases are meant: those of which everything that is said is true. Something has to be said. */
export interface LeaseChoice {
  readonly key?: string
  readonly address?: string
  readonly mac?: string
  /** The machine that it is of, by the server's own word or by the tool that made it. */
  readonly machine?: string
}

/** What a sweep may take. Without anything: what is over and no machine has. */
export interface SweepRule {
  /** Only what has been over for so long. */
  readonly olderThanMs?: number
  /** What is not over too, where no machine has it. */
  readonly stale?: boolean
}

export interface SweepOutcome {
  readonly removed: readonly LeaseEntry[]
  readonly kept: number
}

export interface LeasesStatus {
  /** "bootpd", "dnsmasq", "libvirt", "skep", "isc-dhcpd", "networkd". */
  readonly server: string
  /** Whether the server runs; missing where nobody can say. */
  readonly serving?: boolean
  readonly paths: readonly string[]
  readonly leases: number
  readonly pools: readonly LeasePool[]
  readonly counters: Counters
}

export interface LeasesRunning extends Running<LeasesStatus> {
  leases(): Promise<readonly LeaseEntry[]>
  /**
   * Resolves with the leases when the server has them no more. Codes: "not-found", "bad-options" (nothing is said), "busy" (the server writes all the
   * time), "corrupt-file" (something is not understood: nothing is written), "permission-denied", "unsupported" (it runs and cannot be told).
   */
  giveBack(choice: LeaseChoice): Promise<readonly LeaseEntry[]>
  /** Takes back what no machine has, never a reservation, nor what the server says is in use. Codes as of `giveBack`, but for "not-found". */
  sweep(rule?: SweepRule): Promise<SweepOutcome>
}

/**
 * A lease: an address bound to a client for a time. And who a client is.
 *
 * @module
 */
import { code, type DhcpMessage } from "@skep/wire/dhcp"
import * as mac from "@skep/wire/mac"
import { hostNameOf } from "./host-name.ts"

/** Times are milliseconds of the epoch. Replaced as a whole when it is renewed. */
export interface Lease {
  /** "192.168.64.5" */
  readonly address: string
  /** "52:54:00:0a:0b:0c" */
  readonly mac: string
  /** Option 61, its bytes in hex. */
  readonly clientId?: string
  /** The machine whose link the client is on. */
  readonly machine?: string
  /** What the client calls itself: one label. */
  readonly hostName?: string
  readonly granted: number
  readonly renewed: number
  /** From then on the address may be given to others, but is kept for this client as long as there are other ones. */
  readonly expires: number
}

/**
 * What makes a client the same one when it comes again. "client": its client identifier, or else its MAC address (RFC 2131, section 4.2), on
 * its machine: two machines made from one image may well have one identifier. "machine": the machine alone, for networks where a machine has
 * one client, whatever that calls itself and whatever MAC address it has.
 */
export type Identity = "client" | "machine"

export interface Client extends Pick<Lease, "mac" | "clientId" | "machine" | "hostName"> {
  readonly key: string
}

export function clientOf(message: DhcpMessage, machine: string | undefined, identity: Identity): Client {
  const id = message.options.get(code.CLIENT_IDENTIFIER)
  const hostName = hostNameOf(message)
  const known = {
    mac: mac.format(message.mac),
    ...(id === undefined || id.length === 0 ? {} : { clientId: Buffer.from(id).toString("hex") }),
    ...(machine === undefined ? {} : { machine }),
  }
  return { ...known, ...(hostName === undefined ? {} : { hostName }), key: keyOf(known, identity) }
}

/** What a client is found again by. */
export function keyOf({ machine, clientId, mac }: Omit<Client, "key">, identity: Identity): string {
  if (machine === undefined) return clientId ?? mac
  return identity === "machine" ? machine : `${machine}/${clientId ?? mac}`
}

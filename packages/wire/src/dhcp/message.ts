/**
 * A message of DHCP as a value: RFC 2131, section 2, with the options of RFC 2132.
 *
 * @module
 */
import type { MessageType } from "./codes.ts"

/** The address fields are dotted quads, "0.0.0.0" where nothing is said. */
export interface DhcpMessage {
  readonly op: "request" | "reply"
  /** Undefined in a message of BOOTP. */
  readonly type: MessageType | undefined
  readonly hops: number
  readonly transactionId: number
  readonly seconds: number
  /** The client can take no unicast yet. */
  readonly broadcast: boolean
  /** ciaddr: what the client has and answers ARP for. */
  readonly clientAddress: string
  /** yiaddr */
  readonly yourAddress: string
  /** siaddr */
  readonly nextServer: string
  /** giaddr */
  readonly relayAddress: string
  /** chaddr: Ethernet only, 48 bits. */
  readonly mac: number
  /** sname; empty where options lie in its place. */
  readonly serverName: string
  /** file; likewise. */
  readonly bootFile: string
  /**
   * By code, in the order they came, without pad, end, overload and message type. One that came in pieces is whole again (RFC 3396).
   * Values are views into the message, or copies where they came in pieces.
   */
  readonly options: ReadonlyMap<number, Uint8Array>
}

/** Why bytes are no message; also the name of a counter. */
export type Malformed =
  /** Shorter than the fixed part and the magic cookie. */
  | "truncated"
  /** Neither a request nor a reply. */
  | "bad-op"
  /** Not Ethernet. */
  | "bad-hardware"
  | "bad-cookie"
  /** An option without its length, or longer than what is left. */
  | "truncated-option"
  /** An option that a server relies on has a length or a value it cannot have. */
  | "bad-option"

/** The fixed part and the cookie. */
export const HEADER = 240
/** RFC 1542, section 2.1: BOOTP's vendor field has 64 bytes at least, and relays drop what is shorter than 300. */
export const MESSAGE_MIN = 300

/**
 * Numbers of DHCP: options (RFC 2132, and what is named beside them) and message types (RFC 2132, section 9.6).
 *
 * @module
 */

export const PAD = 0
export const SUBNET_MASK = 1
export const ROUTER = 3
export const NAME_SERVER = 6
export const HOST_NAME = 12
export const DOMAIN_NAME = 15
export const INTERFACE_MTU = 26
export const BROADCAST_ADDRESS = 28
export const NTP_SERVER = 42
export const REQUESTED_ADDRESS = 50
export const LEASE_TIME = 51
export const OVERLOAD = 52
export const MESSAGE_TYPE = 53
export const SERVER_IDENTIFIER = 54
export const PARAMETER_REQUEST_LIST = 55
export const MESSAGE = 56
export const MAXIMUM_MESSAGE_SIZE = 57
export const RENEWAL_TIME = 58
export const REBINDING_TIME = 59
export const CLIENT_IDENTIFIER = 61
/** RFC 4702. */
export const CLIENT_FQDN = 81
/** RFC 3046. */
export const RELAY_AGENT = 82
/** RFC 3397. */
export const DOMAIN_SEARCH = 119
/** RFC 3442. */
export const CLASSLESS_ROUTES = 121
/** What Windows asked for before RFC 3442; the same value. */
export const MICROSOFT_CLASSLESS_ROUTES = 249
export const END = 255

/** Message types, at the place of their number. */
export const MESSAGE_TYPES = [
  undefined,
  "discover",
  "offer",
  "request",
  "decline",
  "ack",
  "nak",
  "release",
  "inform",
] as const

export type MessageType = Exclude<(typeof MESSAGE_TYPES)[number], undefined>

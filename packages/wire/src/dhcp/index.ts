/**
 * DHCP for IPv4: RFC 2131 and 2132, with 3046, 3396, 3397, 3442 and 4702 as far as a server needs them.
 *
 * ```
 * bytes ─► parse ─► DhcpMessage ─► options: decode, decodeRoutes, decodeNames
 * bytes ◄─ emit  ◄─ DhcpMessage ◄─ options: encode, encodeRoutes, encodeNames
 * ```
 *
 * @module
 */

export type { MessageType } from "./codes.ts"
export * as code from "./codes.ts"
export { DATAGRAM_HEADERS, DATAGRAM_MIN, emit } from "./emit.ts"
export type { DhcpMessage, Malformed } from "./message.ts"
export { decodeName, decodeNames, encodeNames } from "./names.ts"
export { parse } from "./parse.ts"
export { pretty } from "./pretty.ts"
export { decodeRoutes, encodeRoutes, type Route } from "./routes.ts"
export { decode, encode, nameOf, type OptionValue } from "./values.ts"

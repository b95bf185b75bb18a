/**
 * Endpoints as struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Endpoint } from "../host/host.ts"

const INET_SIZE = 16
const INET6_SIZE = 28

export function familyOf({ address }: Endpoint): number {
  return address.length === 4 ? sys.AF_INET : sys.AF_INET6
}

/** What connect(2) and bind(2) take. The family is in the processor's order, which is little-endian wherever the loop runs. */
export function sockaddr(endpoint: Endpoint): Uint8Array {
  const inet = endpoint.address.length === 4
  const bytes = new Uint8Array(inet ? INET_SIZE : INET6_SIZE)
  bytes[0] = familyOf(endpoint)
  bytes[2] = endpoint.port >>> 8
  bytes[3] = endpoint.port
  bytes.set(endpoint.address, inet ? 4 : 8)
  return bytes
}

/**
 * Addresses as Node takes them.
 *
 * @module
 */
import { format } from "@skep/wire/address"
import type { Endpoint } from "../host/host.ts"

/** The text of the address. */
export function hostOf({ address }: Endpoint): string {
  return format(address)
}

/**
 * Asking as the host's own programs ask: getaddrinfo, which knows the search list, mDNS and every other source of names that the host has.
 *
 * It tells no times to live, and no aliases.
 *
 * @module
 */
import { lookup } from "node:dns/promises"

/** Addresses as text, or why there are none. */
export type SystemAnswer = readonly string[] | "no-name" | "no-address" | "failed"

export type SystemLookup = (name: string, family: 4 | 6) => Promise<SystemAnswer>

/** EAI_NODATA as libuv numbers it; `code` is ENOTFOUND for this and for EAI_NONAME. */
const NO_DATA = -3007

/** Never rejects. It takes a thread of Node's pool until it is done, and cannot be called off: bound how many there are. */
export async function systemLookup(name: string, family: 4 | 6): Promise<SystemAnswer> {
  try {
    const found = await lookup(name, { family, all: true, hints: 0 })
    // An address that belongs to one of the host's interfaces means nothing to a machine.
    const addresses = found.map(({ address }) => address).filter((address) => !address.includes("%"))
    return addresses.length === 0 ? "no-address" : addresses
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOTFOUND") return "failed"
    return "errno" in error && error.errno === NO_DATA ? "no-address" : "no-name"
  }
}

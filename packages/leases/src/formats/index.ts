/**
 * All formats, and which of them a file has.
 *
 * @module
 */
import type { LeaseFormat } from "../format.ts"
import { bootpd } from "./bootpd.ts"
import { bootptab } from "./bootptab.ts"
import { dnsmasq } from "./dnsmasq.ts"
import { iscDhcpd } from "./isc-dhcpd.ts"
import { libvirt } from "./libvirt.ts"
import { networkd } from "./networkd.ts"
import { bootpdPreferences, vmnetPreferences } from "./networks.ts"
import { skep } from "./skep.ts"

/** In the order in which a file is tried. */
export const FORMATS: readonly LeaseFormat[] = [
  skep,
  libvirt,
  networkd,
  bootpd,
  vmnetPreferences,
  bootpdPreferences,
  iscDhcpd,
  bootptab,
  dnsmasq,
]

const NOTHING = new Uint8Array()

/** What the bytes say, or else the path; undefined where neither says anything. */
export function formatOf(bytes: Uint8Array, path: string): LeaseFormat | undefined {
  return (
    FORMATS.find((format) => format.detect(bytes, "")) ??
    FORMATS.find((format) => format.detect(NOTHING, path))
  )
}

export function formatNamed(name: string): LeaseFormat | undefined {
  return FORMATS.find((format) => format.name === name)
}

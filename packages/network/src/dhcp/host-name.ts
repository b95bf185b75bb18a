/**
 * The name a client gives itself, made fit for DNS: options 12 (RFC 2132) and 81 (RFC 4702).
 *
 * @module
 */
import { code, type DhcpMessage, decodeName } from "@skep/wire/dhcp"

const LABEL_MAX = 63
/** Flags and two codes, before the name of option 81. */
const FQDN_NAME_AT = 3
/** The flag of option 81 that says its name is in labels. */
const FQDN_LABELS = 4

/** The first label of what it says, in lower case, of letters, digits and hyphens; undefined where nothing is left of it. */
export function hostNameOf(message: DhcpMessage): string | undefined {
  const plain = message.options.get(code.HOST_NAME)
  const qualified = message.options.get(code.CLIENT_FQDN)
  return (
    (plain === undefined ? undefined : labelOf(text(plain))) ??
    (qualified === undefined ? undefined : labelOf(nameIn(qualified)))
  )
}

/** Any text as one label of a host name (RFC 1123, section 2.1), or undefined. */
export function labelOf(name: string): string | undefined {
  const [first = ""] = name.split(".", 1)
  const label = first
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .slice(0, LABEL_MAX)
    .replaceAll(/^-+|-+$/g, "")
  return label === "" ? undefined : label
}

function nameIn(option: Uint8Array): string {
  const name = option.subarray(FQDN_NAME_AT)
  if (((option[0] ?? 0) & FQDN_LABELS) === 0) return text(name)
  // RFC 4702, section 3.1: a name without the root at its end is only a part.
  return decodeName(Uint8Array.of(...name, 0), 0)?.name ?? ""
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1")
}

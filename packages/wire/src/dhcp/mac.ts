/**
 * The hardware address as a number of 48 bits, and as the text that `dhcp` has for it.
 *
 * @module
 */

export function macOf(text: string): number {
  return Number.parseInt(text.replaceAll("-", ""), 16)
}

/** "52-54-00-0A-0B-0C" */
export function macText(mac: number, separator = "-"): string {
  return (mac.toString(16).toUpperCase().padStart(12, "0").match(/../g) ?? []).join(separator)
}

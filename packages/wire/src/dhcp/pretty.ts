/**
 * A message in one line, as tcpdump would have it.
 *
 * @module
 */
import {
  CLIENT_IDENTIFIER,
  HOST_NAME,
  LEASE_TIME,
  MESSAGE,
  REQUESTED_ADDRESS,
  SERVER_IDENTIFIER,
} from "./codes.ts"
import { macText } from "./mac.ts"
import type { DhcpMessage } from "./message.ts"
import { decode, nameOf } from "./values.ts"

const NONE = "0.0.0.0"
const TOLD = [REQUESTED_ADDRESS, SERVER_IDENTIFIER, LEASE_TIME, HOST_NAME, CLIENT_IDENTIFIER, MESSAGE]
/** What a guest wrote goes to a log line: no more of it, and no control characters. */
const VALUE_MAX = 64

/** `dhcp discover 52:54:00:0a:0b:0c xid 0x1234abcd, Requested IP Address "192.168.64.5"` */
export function pretty(message: DhcpMessage): string {
  const addresses = [
    ["ciaddr", message.clientAddress],
    ["yiaddr", message.yourAddress],
    ["giaddr", message.relayAddress],
  ].filter(([, address]) => address !== NONE)
  const told = TOLD.flatMap((code) => {
    const value = message.options.get(code)
    return value === undefined ? [] : [`${nameOf(code)} ${show(decode(code, value))}`]
  })
  const head = `dhcp ${message.type ?? `bootp ${message.op}`} ${macText(message.mac, ":").toLowerCase()}`
  const xid = `xid 0x${message.transactionId.toString(16).padStart(8, "0")}`
  return [`${head} ${xid}`, ...addresses.map((pair) => pair.join(" ")), ...told].join(", ")
}

function show(value: ReturnType<typeof decode>): string {
  if (value === undefined) return "?"
  const text = value instanceof Uint8Array ? Buffer.from(value).toString("hex") : JSON.stringify(value)
  return text.slice(0, VALUE_MAX).replace(/[^\x20-\x7e]/g, "?")
}

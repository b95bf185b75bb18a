/**
 * Forwards as they are typed, in Docker's syntax with a machine before it and a guest's address where Docker has none.
 *
 * ```
 *  [MACHINE=][HOST-ADDRESS:]PORT[-LAST]:[GUEST-ADDRESS:]PORT[-LAST][/tcp|/udp]
 *
 *  8080:80                       tcp, from 127.0.0.1
 *  web=0.0.0.0:8080:80           from every address of the host, to the machine "web"
 *  [::1]:5300:53/udp
 *  8000-8009:9000-9009           ten of them
 * ```
 *
 * @module
 */
import { type ForwardRule, SidecarError, type Transport } from "@skep/contract"
import { canonicalAddress } from "../addressing/address.ts"

const ADDRESS = String.raw`(\[[0-9a-fA-F:.]+\]|\d+\.\d+\.\d+\.\d+)`
const PORTS = String.raw`(\d{1,5})(?:-(\d{1,5}))?`
const SPEC = new RegExp(
  String.raw`^(?:([a-z0-9-]{1,63})=)?(?:${ADDRESS}:)?${PORTS}:(?:${ADDRESS}:)?${PORTS}(?:/(tcp|udp))?$`,
)

const PORT_MAX = 65_535
/** Nobody means more by one word. */
const RANGE_MAX = 4096
const DEFAULT_HOST = "127.0.0.1"

/** One rule for each port. Throws "bad-options" with what is wrong. */
export function parseForwardSpec(text: string): readonly ForwardRule[] {
  const parts = SPEC.exec(text)
  if (parts === null) throw bad(text, "it is not [MACHINE=][ADDRESS:]PORT:PORT[/udp]")
  const [, machine, host, hostFirst, hostLast, guest, guestFirst, guestLast, transport] = parts
  const hostPorts = rangeOf(text, hostFirst, hostLast)
  const guestPorts = rangeOf(text, guestFirst, guestLast)
  const count = hostPorts.last - hostPorts.first + 1
  if (count !== guestPorts.last - guestPorts.first + 1) throw bad(text, "its ranges are not of one length")
  if (count > RANGE_MAX) throw bad(text, `it is ${count} ports, and one forward may be ${RANGE_MAX}`)
  const guestAddress = addressOf(text, guest)
  const hostAddress = addressOf(text, host) ?? DEFAULT_HOST
  return Array.from({ length: count }, (_, index) => ({
    transport: transportOf(transport),
    hostAddress,
    hostPort: hostPorts.first + index,
    ...(guestAddress === undefined ? {} : { guestAddress }),
    guestPort: guestPorts.first + index,
    ...(machine === undefined ? {} : { machine }),
  }))
}

interface Ports {
  readonly first: number
  readonly last: number
}

function rangeOf(text: string, firstText: string | undefined, lastText: string | undefined): Ports {
  const first = Number(firstText)
  const last = lastText === undefined ? first : Number(lastText)
  if (first < 1 || last > PORT_MAX) throw bad(text, "a port is from 1 to 65535")
  if (last < first) throw bad(text, "a range ends before it begins")
  return { first, last }
}

function addressOf(text: string, found: string | undefined): string | undefined {
  if (found === undefined) return undefined
  const address = canonicalAddress(found.replace(/^\[(.*)\]$/, "$1"))
  if (address === undefined) throw bad(text, `"${found}" is no IP address`)
  return address
}

function transportOf(text: string | undefined): Transport {
  return text === "udp" ? "udp" : "tcp"
}

function bad(text: string, reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot read the forward "${text}": ${reason}`, {
    next: "Write it as docker run -p does, such as 8080:80, 0.0.0.0:8080:80 or 5300:53/udp",
  })
}

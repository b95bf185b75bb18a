/**
 * Classless static routes, RFC 3442: the width of a destination, as many of its bytes as the width needs, and the router.
 *
 * ```
 *   10.0.0.0/8 via 192.168.64.1      08  0a           c0 a8 40 01
 *   0.0.0.0/0 via 192.168.64.1       00               c0 a8 40 01
 * ```
 *
 * @module
 */

export interface Route {
  /** "10.0.0.0/8" */
  readonly destination: string
  /** "0.0.0.0": on the link itself. */
  readonly router: string
}

const WIDTH_MAX = 32
const ROUTER_LENGTH = 4

/** Bits of a destination beyond its width become zero. Throws for text that is no route: that is the caller's. */
export function encodeRoutes(routes: readonly Route[]): Uint8Array {
  return Uint8Array.from(
    routes.flatMap(({ destination, router }) => {
      const [network = "", bits = ""] = destination.split("/")
      const width = Number(bits)
      if (bits === "" || !Number.isInteger(width) || width < 0 || width > WIDTH_MAX) {
        throw new RangeError(`Cannot encode the route "${destination}": its width is not 0 to ${WIDTH_MAX}`)
      }
      return [width, ...significant(quad(network), width), ...quad(router)]
    }),
  )
}

/** Undefined where the bytes are no list of routes. */
export function decodeRoutes(bytes: Uint8Array): readonly Route[] | undefined {
  const routes: Route[] = []
  let at = 0
  while (at < bytes.length) {
    const width = bytes[at] ?? 0
    const octets = Math.ceil(width / 8)
    const end = at + 1 + octets + ROUTER_LENGTH
    if (width > WIDTH_MAX || end > bytes.length) return undefined
    const network = [...bytes.subarray(at + 1, at + 1 + octets), 0, 0, 0, 0].slice(0, 4)
    const router = bytes.subarray(end - ROUTER_LENGTH, end).join(".")
    routes.push({ destination: `${network.join(".")}/${width}`, router })
    at = end
  }
  return routes.length === 0 ? undefined : routes
}

function significant(network: readonly number[], width: number): readonly number[] {
  return network.slice(0, Math.ceil(width / 8)).map((octet, index) => {
    const bits = Math.min(8, width - index * 8)
    return octet & (0xff << (8 - bits)) & 0xff
  })
}

function quad(text: string): readonly number[] {
  const octets = text.split(".").map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : Number.NaN))
  if (octets.length !== 4 || octets.some((octet) => !(octet <= 255))) {
    throw new RangeError(`Cannot encode "${text}": it is no IPv4 address`)
  }
  return octets
}

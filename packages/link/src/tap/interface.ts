/**
 * A network interface seen through a socket of its namespace: netdevice(7).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import * as c from "./constants.ts"

const INET = 4
/** Where a sockaddr_in has its address. */
const INET_ADDRESS = 4

export class NetworkInterface implements Disposable {
  readonly name: string
  /** A socket of the interface's namespace. */
  readonly socket: number

  /**
   * In the network namespace that the calling thread is in, or in that of `socket`, which is owned from then on. The interface need not be there
   * yet.
   */
  constructor(name: string, socket?: number) {
    this.name = name
    this.socket = socket ?? sys.check(sys.socket(sys.AF_INET, sys.SOCK_DGRAM), "socket")
  }

  /** Whether it is up; undefined where it is gone. */
  get up(): boolean | undefined {
    const request = ifreq(this.name)
    if (sys.ioctlInto(this.socket, c.SIOCGIFFLAGS, request) < 0) return undefined
    return (view(request).getUint16(c.IFREQ.value, true) & c.IFF_UP) !== 0
  }

  bringUp(): void {
    const request = this.#ask(c.SIOCGIFFLAGS, "SIOCGIFFLAGS")
    const flags = view(request).getUint16(c.IFREQ.value, true)
    view(request).setUint16(c.IFREQ.value, flags | c.IFF_UP, true)
    this.#tell(c.SIOCSIFFLAGS, request, "SIOCSIFFLAGS")
  }

  get mtu(): number {
    return view(this.#ask(c.SIOCGIFMTU, "SIOCGIFMTU")).getInt32(c.IFREQ.value, true)
  }

  set mtu(value: number) {
    this.#setInt(c.SIOCSIFMTU, value, "SIOCSIFMTU")
  }

  /** How many frames wait for us before the kernel drops one. */
  set queueLength(value: number) {
    this.#setInt(c.SIOCSIFTXQLEN, value, "SIOCSIFTXQLEN")
  }

  /** Six bytes. */
  get hardwareAddress(): Uint8Array {
    const at = c.IFREQ.value + 2
    return this.#ask(c.SIOCGIFHWADDR, "SIOCGIFHWADDR").slice(at, at + 6)
  }

  set hardwareAddress(value: Uint8Array) {
    const request = ifreq(this.name)
    view(request).setUint16(c.IFREQ.value, c.ARPHRD_ETHER, true)
    request.set(value, c.IFREQ.value + 2)
    this.#tell(c.SIOCSIFHWADDR, request, "SIOCSIFHWADDR")
  }

  /** Gives it an address, as "192.0.2.2/24" or "2001:db8::2/64". An IPv4 address replaces the one before. */
  addAddress(text: string): void {
    const [address = "", prefixText] = text.split("/")
    const version6 = address.includes(":")
    const prefix = Number(prefixText ?? (version6 ? 128 : 32))
    if (version6) this.#addAddress6(address, prefix)
    else {
      this.#setAddress4(c.SIOCSIFADDR, inet(address), "SIOCSIFADDR")
      this.#setAddress4(c.SIOCSIFNETMASK, mask(prefix), "SIOCSIFNETMASK")
    }
  }

  /** Sends what has no other route to this IPv4 address, which must be reachable. */
  setGateway(address: string): void {
    const route = new Uint8Array(c.RTENTRY.size)
    route.set(inet("0.0.0.0"), c.RTENTRY.destination)
    route.set(inet(address), c.RTENTRY.gateway)
    route.set(inet("0.0.0.0"), c.RTENTRY.mask)
    view(route).setUint16(c.RTENTRY.flags, c.RTF_UP | c.RTF_GATEWAY, true)
    this.#tell(c.SIOCADDRT, route, "SIOCADDRT")
  }

  [Symbol.dispose](): void {
    sys.close(this.socket)
  }

  #setAddress4(request: number, address: Uint8Array, name: string): void {
    const bytes = ifreq(this.name)
    bytes.set(address, c.IFREQ.value)
    this.#tell(request, bytes, name)
  }

  #addAddress6(address: string, prefix: number): void {
    const index = view(this.#ask(c.SIOCGIFINDEX, "SIOCGIFINDEX")).getInt32(c.IFREQ.value, true)
    const bytes = new Uint8Array(c.IN6_IFREQ.size)
    const name = sys.encodeAddress({ family: "inet6", address, port: 0 }, "SIOCSIFADDR")
    bytes.set(name.subarray(8, 24), c.IN6_IFREQ.address)
    view(bytes).setUint32(c.IN6_IFREQ.prefix, prefix, true)
    view(bytes).setInt32(c.IN6_IFREQ.index, index, true)
    const socket = sys.check(sys.socket(sys.AF_INET6, sys.SOCK_DGRAM), "socket")
    try {
      sys.check(sys.ioctlInto(socket, c.SIOCSIFADDR, bytes), "SIOCSIFADDR", `${address} on ${this.name}`)
    } finally {
      sys.close(socket)
    }
  }

  #setInt(request: number, value: number, name: string): void {
    const bytes = ifreq(this.name)
    view(bytes).setInt32(c.IFREQ.value, value, true)
    this.#tell(request, bytes, name)
  }

  #ask(request: number, name: string): Uint8Array {
    const bytes = ifreq(this.name)
    this.#tell(request, bytes, name)
    return bytes
  }

  #tell(request: number, bytes: Uint8Array, name: string): void {
    sys.check(sys.ioctlInto(this.socket, request, bytes), name, this.name)
  }
}

/** A struct ifreq with a name. Throws where it is none: 1 to 15 bytes, without a slash or a space. */
export function ifreq(name: string): Uint8Array {
  const text = Buffer.from(name)
  if (text.length >= c.IFREQ.name || text.includes(0) || /[\s/]/.test(name))
    throw new RangeError(`Cannot name an interface "${name}"`)
  const bytes = new Uint8Array(c.IFREQ.size)
  bytes.set(text, 0)
  return bytes
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function inet(address: string): Uint8Array {
  return sys.encodeAddress({ family: "inet", address, port: 0 }, "ioctl")
}

function mask(prefix: number): Uint8Array {
  const bytes = inet("0.0.0.0")
  for (let bit = 0; bit < Math.min(prefix, INET * 8); bit++) {
    const at = INET_ADDRESS + (bit >>> 3)
    bytes[at] = (bytes[at] ?? 0) | (0x80 >>> (bit & 7))
  }
  return bytes
}

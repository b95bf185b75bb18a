/**
 * Opens TAP devices: Linux Documentation/networking/tuntap.rst.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import * as c from "./constants.ts"
import { ifreq, NetworkInterface, view } from "./interface.ts"
import { inNamespace, type Namespace } from "./namespace.ts"
import { VNET_HEADER } from "./vnet-header.ts"

const DEVICE = "/dev/net/tun"

/** An open TAP device. The descriptor is the owner's, and does not block. */
export interface TapDevice {
  readonly fd: number
  /** The interface in its namespace; undefined for a descriptor from elsewhere. */
  readonly interface: NetworkInterface | undefined
  readonly interfaceName: string
  readonly mtu: number
  /** Whether frames have a vnet header, so that checksums and cuts can be left to the other side. */
  readonly vnetHeader: boolean
  /** Whether this kernel cuts UDP that we send (Linux 6.2). */
  readonly cutsUdp: boolean
}

export interface TapOptions {
  /** "tap%d", unless told: the kernel puts the first free number. One that is there already and free is taken. */
  readonly interfaceName?: string
  /** Where the interface is to be; in this thread's own namespace unless told. */
  readonly netns?: Namespace
  /** 1500 unless told. */
  readonly mtu?: number
  /** Addresses for the interface, as "192.0.2.2/24". */
  readonly addresses?: readonly string[]
  /** The IPv4 address of the default route. */
  readonly gateway?: string
  /** The interface's own, six bytes; the kernel's choice unless told. */
  readonly hardwareAddress?: Uint8Array
  /** Frames that may wait for us; 1000 unless told. */
  readonly queueLength?: number
  /** Bring the interface up, and the loopback interface of another namespace as well. It stays as it is unless told. */
  readonly up?: boolean
  /** Whether the other side may leave checksums and cuts to us. It may unless told. */
  readonly offloads?: boolean
  /** Whether frames have a vnet header, without which neither side leaves anything to the other. They have unless told. */
  readonly vnetHeader?: boolean
}

/** Makes or takes an interface. Throws the `SystemError` of what refused, and leaves nothing behind. */
export function openTap(options: TapOptions = {}): TapDevice {
  if (options.netns === undefined) return openHere(options, false)
  return inNamespace(options.netns, () => openHere(options, true))
}

/** The same in the namespace that this thread is in now. `elsewhere` is whether that is another than where its program began. */
export function openHere(options: TapOptions, elsewhere: boolean): TapDevice {
  const request = ifreq(options.interfaceName ?? "tap%d")
  const vnetHeader = options.vnetHeader !== false
  const header = vnetHeader ? c.IFF_VNET_HDR : 0
  view(request).setUint16(c.IFREQ.value, c.IFF_TAP | c.IFF_NO_PI | header, true)
  const fd = sys.check(sys.open(DEVICE, sys.O_RDWR | sys.O_NONBLOCK), "open", DEVICE)
  try {
    sys.check(sys.ioctlInto(fd, c.TUNSETIFF, request), "TUNSETIFF", options.interfaceName)
    const cutsUdp = vnetHeader && agreeOnOffloads(fd, options.offloads !== false)
    const interfaceName = Buffer.from(request.subarray(0, request.indexOf(0))).toString()
    const there = new NetworkInterface(interfaceName)
    try {
      configure(there, options, elsewhere)
      return { fd, interface: there, interfaceName, mtu: there.mtu, vnetHeader, cutsUdp }
    } catch (error) {
      there[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    sys.close(fd)
    throw error
  }
}

/**
 * Takes a descriptor that somebody else opened, as for an interface that outlives us. It must be a TAP device without packet information. Its MTU is
 * asked of the interface where that is in this thread's namespace; otherwise it must be told.
 */
export function adoptTap(fd: number, mtu?: number): TapDevice {
  const request = new Uint8Array(c.IFREQ.size)
  sys.check(sys.ioctlInto(fd, c.TUNGETIFF, request), "TUNGETIFF", "is it a TAP device?")
  const flags = view(request).getUint16(c.IFREQ.value, true)
  const interfaceName = Buffer.from(request.subarray(0, request.indexOf(0))).toString()
  if ((flags & c.IFF_TAP) === 0 || (flags & c.IFF_NO_PI) === 0)
    throw new RangeError(`Cannot use ${interfaceName}: it must be a TAP device without packet information`)
  const vnetHeader = (flags & c.IFF_VNET_HDR) !== 0
  const cutsUdp = vnetHeader && agreeOnOffloads(fd, true)
  sys.check(sys.setNonblocking(fd, true), "fcntl")
  return { fd, interface: undefined, interfaceName, mtu: mtu ?? mtuHere(interfaceName), vnetHeader, cutsUdp }
}

/** Where the kernel will not leave us any work it does it all: that is right too. Returns whether it would cut UDP for us. */
function agreeOnOffloads(fd: number, wanted: boolean): boolean {
  const size = new Uint8Array(new Int32Array([VNET_HEADER]).buffer)
  sys.check(sys.ioctlInto(fd, c.TUNSETVNETHDRSZ, size), "TUNSETVNETHDRSZ")
  const offloads = wanted ? c.TUN_F_CSUM | c.TUN_F_TSO4 | c.TUN_F_TSO6 : 0
  // A kernel that knows these takes such frames from us whatever is set. What it would send us of them, we do not cut.
  const cutsUdp = sys.ioctl(fd, c.TUNSETOFFLOAD, c.TUN_F_CSUM | c.TUN_F_USO4 | c.TUN_F_USO6) >= 0
  if (sys.ioctl(fd, c.TUNSETOFFLOAD, offloads) < 0) sys.ioctl(fd, c.TUNSETOFFLOAD, 0)
  return cutsUdp
}

function configure(there: NetworkInterface, options: TapOptions, elsewhere: boolean): void {
  if (options.hardwareAddress !== undefined) there.hardwareAddress = options.hardwareAddress
  // Who may only use an interface that root has made may not change it, even to what it is.
  if (options.mtu !== undefined && there.mtu !== options.mtu) there.mtu = options.mtu
  if (options.queueLength !== undefined) there.queueLength = options.queueLength
  for (const address of options.addresses ?? []) there.addAddress(address)
  if (options.up !== true) return
  if (there.up !== true) there.bringUp()
  if (elsewhere) {
    using loopback = new NetworkInterface("lo")
    if (loopback.up !== true) loopback.bringUp()
  }
  if (options.gateway !== undefined) there.setGateway(options.gateway)
}

function mtuHere(name: string): number {
  using there = new NetworkInterface(name)
  return there.mtu
}

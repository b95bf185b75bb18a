/**
 * Frames that no network should mind: hostile ones of every layer by a seed, written with the codecs and then, often, spoilt.
 *
 * @module
 */
import * as arp from "@skep/wire/arp"
import * as dhcp from "@skep/wire/dhcp"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as ip from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"

const IP_AT = ethernet.HEADER
const BROADCAST = 0xffff_ffff_ffff
const FRAME_MOST = 65_535
const DNS = 53
/** Associations that are answered live for minutes: so many, then memory is flat. */
const ECHO_PORTS = 256

/** The ones that frames speak of. */
export interface Places {
  readonly gatewayMac: number
  readonly foeMac: number
  readonly goodMac: number
  readonly gateway: Uint8Array
  readonly foe: Uint8Array
  readonly good: Uint8Array
  /** Where somebody listens, on TCP and on UDP. */
  readonly tcpPort: number
  readonly endlessPort: number
  readonly udpPort: number
}

export type Random = () => number

/** A small generator (mulberry32): the same seed, the same frames. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export class HostileFrames {
  readonly kinds: readonly string[]
  readonly #random: Random
  readonly #places: Places
  readonly #makers: readonly (readonly [string, () => Uint8Array])[]
  #identification = 0

  constructor(seed: number, places: Places) {
    this.#random = randomOf(seed)
    this.#places = places
    this.#makers = Object.entries({
      noise: () => this.#noise(this.#upTo(2000)),
      "of no type": () => this.#ofType(this.#upTo(0x10000), this.#noise(this.#upTo(200))),
      arp: () => this.#arp(),
      "spoofed source": () => this.#segment({ source: this.#someAddress(), flags: tcp.SYN }),
      "spoofed MAC": () => this.#spoofedMac(),
      land: () => this.#land(),
      "SYN flood": () => this.#segment({ flags: tcp.SYN }),
      "SYN with a tiny window": () =>
        this.#segment({ flags: tcp.SYN, window: 1, to: this.#places.endlessPort, mss: 64 }),
      "RST storm": () => this.#segment({ flags: tcp.RST }),
      "FIN storm": () => this.#segment({ flags: tcp.FIN | tcp.ACK }),
      "any segment": () => this.#segment({ flags: this.#upTo(256), payload: this.#upTo(1400) }),
      "overlapping fragments": () => this.#fragment(),
      "UDP flood": () => this.#datagram(1 + this.#upTo(65_535), this.#noise(this.#upTo(1400))),
      "UDP echo": () =>
        this.#datagram(this.#places.udpPort, this.#noise(this.#upTo(500)), 1024 + this.#upTo(ECHO_PORTS)),
      DHCP: () => this.#dhcp(),
      "DHCP noise": () => this.#datagram(67, this.#noise(this.#upTo(600))),
      DNS: () => this.#datagram(DNS, this.#dns()),
      "DNS loop": () => this.#datagram(DNS, this.#dnsLoop()),
      ICMP: () => this.#icmp(),
      "IPv6 with odd headers": () => this.#ipv6(),
    })
    this.kinds = this.#makers.map(([name]) => name)
  }

  next(): Uint8Array {
    const [, make] = this.#makers[this.#upTo(this.#makers.length)] ?? []
    const frame = make?.() ?? new Uint8Array(0)
    return this.#random() < 0.3 ? this.#spoilt(frame) : frame
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * most)
  }

  #noise(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#upTo(256))
  }

  #one<T>(values: readonly [T, ...T[]]): T {
    return values[this.#upTo(values.length)] ?? values[0]
  }

  /** Bits turned, bytes cut off or appended, lengths that lie. */
  #spoilt(frame: Uint8Array): Uint8Array {
    const bytes = Uint8Array.from(frame)
    // ARP stays with the gateway: nothing keeps a machine on the same wire from lying to another's kernel.
    const isArp = bytes[12] === 8 && bytes[13] === 6
    const first = isArp ? ethernet.HEADER : 0
    for (let count = 1 + this.#upTo(4); count > 0 && bytes.length > first; count--) {
      const most = this.#random() < 0.8 ? Math.min(80, bytes.length - first) : bytes.length - first
      bytes[first + this.#upTo(most)] = this.#upTo(256)
    }
    const how = this.#random()
    if (how < 0.3) return bytes.subarray(0, this.#upTo(bytes.length + 1))
    return how < 0.5 ? Buffer.concat([bytes, this.#noise(this.#upTo(100))]) : bytes
  }

  #ofType(type: number, payload: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(IP_AT + payload.length)
    const { gatewayMac, foeMac } = this.#places
    ethernet.emit(bytes, 0, this.#one([gatewayMac, BROADCAST]), foeMac, type)
    bytes.set(payload, IP_AT)
    return bytes
  }

  #arp(): Uint8Array {
    const { foeMac, gateway } = this.#places
    const payload = new Uint8Array(28)
    arp.emit(payload, 0, {
      operation: this.#one([1, 2, this.#upTo(65_536)]),
      senderMac: this.#one([foeMac, this.#upTo(2 ** 47)]),
      sender: this.#someAddress(),
      targetMac: this.#upTo(2 ** 47),
      target: this.#one([gateway, this.#someAddress()]),
    })
    // To the gateway alone: whoever believes another machine's ARP is harmed by its own kernel.
    const bytes = this.#ofType(ethernet.TYPE_ARP, payload)
    ethernet.emit(bytes, 0, this.#places.gatewayMac, foeMac, ethernet.TYPE_ARP)
    return bytes
  }

  #someAddress(): Uint8Array {
    const { gateway, good, foe } = this.#places
    const anywhere = Uint8Array.from({ length: 4 }, () => this.#upTo(256))
    const near = Uint8Array.from(foe)
    near[3] = this.#upTo(256)
    return this.#one([
      gateway,
      good,
      foe,
      near,
      anywhere,
      Uint8Array.of(127, 0, 0, 1),
      Uint8Array.of(0, 0, 0, 0),
    ])
  }

  /** An IPv4 packet whose payload is written by `put`. */
  #packet(
    protocol: number,
    length: number,
    put: (bytes: Uint8Array, at: number) => void,
    source?: Uint8Array,
  ): Uint8Array {
    const bytes = new Uint8Array(IP_AT + 20 + length)
    const { gatewayMac, foeMac, gateway, foe } = this.#places
    ethernet.emit(bytes, 0, gatewayMac, foeMac, ethernet.TYPE_IPV4)
    this.#identification = (this.#identification + 1) & 0xffff
    ip.emit(bytes, IP_AT, {
      source: source ?? foe,
      destination: gateway,
      protocol,
      payloadLength: length,
      hopLimit: this.#one([64, 64, 64, 0, 1]),
      identification: this.#identification,
    })
    put(bytes, IP_AT + 20)
    return bytes
  }

  #segment(of: {
    readonly flags: number
    readonly source?: Uint8Array
    readonly window?: number
    readonly to?: number
    readonly mss?: number
    readonly payload?: number
  }): Uint8Array {
    const { flags, source, window = this.#upTo(65_536), mss = this.#upTo(3000), payload = 0 } = of
    const { tcpPort } = this.#places
    const fields = {
      ...tcp.view(),
      source: 1024 + this.#upTo(4096),
      destination: of.to ?? this.#one([tcpPort, tcpPort, this.#upTo(65_536)]),
      sequence: this.#upTo(2 ** 32),
      acknowledgement: this.#upTo(2 ** 32),
      flags,
      window,
      mss: (flags & tcp.SYN) === 0 ? 0 : mss,
    }
    const size = tcp.emit(new Uint8Array(200), 0, fields)
    return this.#packet(
      ip.PROTOCOL_TCP,
      size + payload,
      (bytes, at) => {
        tcp.emit(bytes, at, fields)
        transport.finish(bytes, IP_AT, at + size, 0)
      },
      source,
    )
  }

  #land(): Uint8Array {
    const { gateway, tcpPort } = this.#places
    const bytes = this.#segment({ flags: tcp.SYN, source: gateway, to: tcpPort })
    bytes[IP_AT + 20] = tcpPort >> 8
    bytes[IP_AT + 21] = tcpPort & 0xff
    return bytes
  }

  #spoofedMac(): Uint8Array {
    const bytes = this.#segment({ flags: tcp.SYN, source: this.#places.good })
    const { gatewayMac, goodMac } = this.#places
    ethernet.emit(
      bytes,
      0,
      gatewayMac,
      this.#one([gatewayMac, goodMac, this.#upTo(2 ** 47)]),
      ethernet.TYPE_IPV4,
    )
    return bytes
  }

  #fragment(): Uint8Array {
    const length = 8 * this.#upTo(180)
    const { gatewayMac, foeMac, gateway, foe } = this.#places
    const bytes = new Uint8Array(IP_AT + 20 + length)
    ethernet.emit(bytes, 0, gatewayMac, foeMac, ethernet.TYPE_IPV4)
    ip.emit(bytes, IP_AT, {
      source: foe,
      destination: gateway,
      protocol: this.#one([ip.PROTOCOL_UDP, ip.PROTOCOL_TCP, 1]),
      payloadLength: length,
      hopLimit: 64,
      identification: this.#upTo(64),
      fragmentOffset: 8 * this.#one([this.#upTo(8), this.#upTo(200), this.#upTo(8192)]),
      moreFragments: this.#random() < 0.7,
    })
    return bytes
  }

  #datagram(port: number, payload: Uint8Array, from = 1024 + this.#upTo(60_000)): Uint8Array {
    const source = port === 67 && this.#random() < 0.9 ? Uint8Array.of(0, 0, 0, 0) : undefined
    const bytes = this.#packet(
      ip.PROTOCOL_UDP,
      udp.HEADER + payload.length,
      (frame, at) => {
        udp.emit(frame, at, port === 67 ? 68 : from, port, payload.length)
        frame.set(payload, at + udp.HEADER) // no checksum is a checksum (RFC 768)
      },
      source,
    )
    return bytes
  }

  /** A machine that wants every address there is (RFC 7819 speaks of such). */
  #dhcp(): Uint8Array {
    const options = new Map<number, Uint8Array>()
    const { foe } = this.#places
    const wanted = Uint8Array.from(foe)
    wanted[3] = this.#upTo(256)
    if (this.#random() < 0.5) options.set(50, wanted)
    if (this.#random() < 0.5) options.set(61, this.#noise(1 + this.#upTo(40)))
    if (this.#random() < 0.3) options.set(12, this.#noise(this.#upTo(255)))
    if (this.#random() < 0.3) options.set(this.#upTo(255), this.#noise(this.#upTo(300)))
    if (this.#random() < 0.3) options.set(54, this.#places.gateway)
    const bytes = dhcp.emit(
      {
        op: "request",
        type: this.#one(["discover", "discover", "request", "decline", "release", "inform"]),
        hops: 0,
        transactionId: this.#upTo(2 ** 32),
        seconds: 0,
        broadcast: this.#random() < 0.5,
        clientAddress: "0.0.0.0",
        yourAddress: "0.0.0.0",
        nextServer: "0.0.0.0",
        relayAddress: this.#random() < 0.1 ? "192.168.64.77" : "0.0.0.0",
        mac: this.#upTo(2 ** 47),
        serverName: "",
        bootFile: "",
        options,
      },
      1200,
    )
    return this.#datagram(67, bytes)
  }

  #dnsHeader(questions: number): Uint8Array {
    return Uint8Array.of(this.#upTo(256), this.#upTo(256), 1, 0, 0, questions, 0, 0, 0, 0, 0, 0)
  }

  #dns(): Uint8Array {
    const labels = Array.from({ length: 1 + this.#upTo(5) }, () => {
      const length = 1 + this.#upTo(63)
      return Buffer.concat([Uint8Array.of(length), this.#noise(length)])
    })
    const tail = Uint8Array.of(0, 0, this.#upTo(256), 0, this.#one([1, 1, 255]))
    return Buffer.concat([this.#dnsHeader(this.#one([1, 1, 255])), ...labels, tail])
  }

  /** Names that point at themselves, at each other, or through a long chain. */
  #dnsLoop(): Uint8Array {
    const chain = Array.from({ length: this.#upTo(200) }, (_, index) =>
      Uint8Array.of(0xc0, 12 + 2 * (index + 1)),
    )
    const back = Uint8Array.of(0xc0, this.#one([12, 0, 14, this.#upTo(256)]), 0, 1, 0, 1)
    return Buffer.concat([this.#dnsHeader(1), ...chain, back])
  }

  #icmp(): Uint8Array {
    return this.#packet(1, icmp.HEADER + this.#upTo(600), (bytes, at) => {
      icmp.emit(bytes, at, this.#one([8, 3, 5, 11, this.#upTo(256)]), this.#upTo(20), this.#upTo(2 ** 32))
      if (this.#random() < 0.5)
        bytes.set(this.#noise(40).subarray(0, bytes.length - at - icmp.HEADER), at + icmp.HEADER)
    })
  }

  #ipv6(): Uint8Array {
    const payload = this.#noise(this.#upTo(300))
    const bytes = new Uint8Array(IP_AT + 40 + payload.length)
    const address = (last: number) =>
      Uint8Array.from({ length: 16 }, (_, at) => (at === 0 ? 0xfe : at === 1 ? 0x80 : at === 15 ? last : 0))
    const group = Uint8Array.from({ length: 16 }, (_, at) =>
      at === 0 ? 0xff : at === 1 ? 2 : at === 15 ? 1 + this.#upTo(2) : 0,
    )
    ethernet.emit(bytes, 0, this.#places.gatewayMac, this.#places.foeMac, ethernet.TYPE_IPV6)
    ip.emit(bytes, IP_AT, {
      source: address(9),
      destination: this.#one([group, address(1)]),
      protocol: this.#one([0, 43, 44, 60, 58, 58, 6, 17, 59]),
      payloadLength: payload.length,
      hopLimit: 255,
    })
    bytes.set(payload, IP_AT + 40)
    if (this.#random() < 0.5) bytes[IP_AT + 40] = this.#one([133, 134, 135, 136, 137])
    return bytes.subarray(0, FRAME_MOST)
  }
}

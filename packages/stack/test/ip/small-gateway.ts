/**
 * A gateway that does with IP what a gateway does itself, and nothing more: everything beyond is unreachable. It shows how the parts fit together.
 *
 * @module
 */
import type { Frame, Link, Receiver } from "@skep/link"
import { u8 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as ipv4 from "@skep/wire/ipv4"
import { packet as capture, describeInterface, section } from "@skep/wire/pcapng"
import { Cutter } from "../../src/ip/cutter.ts"
import { EchoReply } from "../../src/ip/echo.ts"
import { Errors, originalOf, type Problem } from "../../src/ip/errors.ts"
import { type Gateway, owns } from "../../src/ip/gateway.ts"
import { isNdp } from "../../src/ip/ndp-responder.ts"
import { Neighbours } from "../../src/ip/neighbours.ts"
import { OUT_SIZE } from "../../src/ip/packet-writer.ts"
import { Reassembly } from "../../src/ip/reassembly.ts"
import { screen } from "../../src/ip/screening.ts"

const MACHINE = 1
const NO_MAC_FILTER = 0x3333

export class SmallGateway implements Receiver {
  readonly neighbours: Neighbours
  readonly errors: Errors
  readonly reassembly: Reassembly
  /** Why packets were dropped. */
  readonly dropped: string[] = []
  /** All frames of both directions, as pcapng. */
  readonly capture: Uint8Array[] = [section(), describeInterface()]
  readonly #gateway: Gateway
  readonly #link: Link
  readonly #echo = new EchoReply()
  readonly #cutter = new Cutter()
  readonly #out = new Uint8Array(OUT_SIZE)
  readonly #frame = ethernet.view()
  readonly #packet = ip.ipView()

  constructor(gateway: Gateway, link: Link, nameServers: readonly Uint8Array[]) {
    this.#gateway = gateway
    this.#link = link
    this.neighbours = new Neighbours(gateway, { mtu: link.mtu, nameServers })
    this.errors = new Errors(gateway)
    this.reassembly = new Reassembly(link.memory)
    link.receiver = this
  }

  onFrame(frame: Frame): void {
    this.#capture(frame.bytes.subarray(frame.at, frame.at + frame.head), frame.length, "in")
    const end = frame.at + frame.length
    const read = ethernet.parse(frame.bytes, frame.at, frame.at + frame.head, end, this.#frame)
    if (typeof read === "string") return
    const { destination, type } = this.#frame
    const isGroup =
      Math.floor(destination / 0x1_0000_0000) === NO_MAC_FILTER || destination === 0xffff_ffff_ffff
    if (destination !== this.#gateway.mac && !isGroup) return
    if (type === ethernet.TYPE_ARP) this.#send(this.neighbours.onArp(frame, MACHINE, 0, this.#out))
    else if (type === ethernet.TYPE_IPV4 || type === ethernet.TYPE_IPV6) this.#onIp(frame)
  }

  onSettle(): void {
    this.reassembly.settle()
  }

  onRoom(): void {}

  onCarrier(): void {}

  /** Tells all what there is to tell at this time. */
  dispatch(nowMs: number): void {
    this.#send(this.neighbours.dispatch(nowMs, this.#out))
    this.reassembly.dispatch(nowMs, ({ original, machine }) => {
      this.#send(this.errors.write({ kind: "reassembly-exceeded" }, original, machine, nowMs, this.#out))
    })
  }

  #onIp(frame: Frame): void {
    const { bytes, at } = frame
    const packet = this.#packet
    const read = ip.parse(bytes, at + ethernet.HEADER, at + frame.head, at + frame.length, packet)
    if (typeof read === "string") return this.#drop(read)
    if (packet.version === 4 && !frame.trusted && !ipv4.checksumOk(bytes, packet))
      return this.#drop("bad-checksum")
    const unwelcome = screen(this.#gateway, bytes, packet)
    if (unwelcome !== undefined) return this.#drop(unwelcome)
    if (!ip.isFragment(packet)) return this.#onPacket(frame)
    const whole = this.reassembly.receive(frame, packet, MACHINE, 0)
    if (whole !== undefined) this.#onIp(whole)
  }

  #onPacket(frame: Frame): void {
    const packet = this.#packet
    const { bytes } = frame
    if (packet.protocol === ip.PROTOCOL_ICMPV6 && isNdp(u8(bytes, packet.payloadAt))) {
      return this.#send(this.neighbours.onNdp(frame, packet, MACHINE, 0, this.#out))
    }
    const isOurs = owns(this.#gateway, bytes, packet.destinationAt, packet.addressLength)
    if (!isOurs) return this.#tell(frame, { kind: packet.hopLimit <= 1 ? "hops-exceeded" : "no-route" })
    if (this.#echo.answer(this.#gateway, frame, packet) === undefined) return this.#sendEcho()
    const isUdp = packet.protocol === ip.PROTOCOL_UDP
    this.#tell(frame, { kind: isUdp ? "port-unreachable" : "protocol-unreachable" })
  }

  #tell(frame: Frame, problem: Problem): void {
    const original = originalOf(frame, this.#packet, ethernet.sourceOf(frame.bytes, frame.at))
    this.#send(this.errors.write(problem, original, MACHINE, 0, this.#out))
  }

  #sendEcho(): void {
    const { headers, length, payload, identification } = this.#echo
    const link = this.#link
    if (length - ethernet.HEADER + payload.bytes <= link.mtu) {
      link.send(headers, 0, length, payload)
      this.#capture(headers.subarray(0, length), length + payload.bytes, "out")
      return
    }
    this.#cutter.cut(
      { bytes: headers, at: 0, length },
      payload,
      link.mtu,
      identification,
      (head, at, size, part) => {
        this.#capture(head.subarray(at, at + size), size + part.bytes, "out")
        return link.send(head, at, size, part)
      },
    )
  }

  #send(size: number): void {
    if (size === 0) return
    this.#link.send(this.#out, 0, size)
    this.#capture(this.#out.subarray(0, size), size, "out")
  }

  #capture(bytes: Uint8Array, originalLength: number, direction: "in" | "out"): void {
    const info = { interface: 0, timeNanoseconds: BigInt(this.capture.length), originalLength, direction }
    this.capture.push(capture(info, bytes, 0, bytes.length))
  }

  #drop(reason: string): void {
    this.dropped.push(reason)
  }
}

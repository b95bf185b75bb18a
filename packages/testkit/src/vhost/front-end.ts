/**
 * A front end that speaks vhost-user as QEMU 7.2 does, for tests without a VM.
 *
 * Everything is synchronous: `turn` lets the back end work, which in a test is one step of its loop.
 *
 * @module
 */
import { check } from "@skep/loop"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { emitHeader, features, HEADER, PAYLOAD_MAX, parseHeader, payload, request } from "@skep/vhost-user"
import type { DriverRing } from "./driver-ring.ts"
import type { GuestRam } from "./guest-ram.ts"

export interface FrontEndOptions {
  /** Connected to the back end; owned from now on. */
  readonly fd: number
  readonly ram: GuestRam
  /** Lets the back end work. Called again while an answer is missing, at most `TURNS` times. */
  readonly turn: () => void
}

const TURNS = 100

export interface SendOptions {
  readonly body?: Uint8Array
  readonly fds?: readonly number[]
  readonly needReply?: boolean
}

export class FrontEnd implements Disposable {
  readonly fd: number
  readonly ram: GuestRam
  readonly #turn: () => void
  readonly #scratch = new Scratch(64 * 1024)
  readonly #buffer = this.#scratch.region("buffer", HEADER + PAYLOAD_MAX)
  readonly #iovecs = new Iovecs(this.#scratch, "iovecs", 1)
  readonly #message = new Message(this.#scratch, "message", 16)

  constructor(options: FrontEndOptions) {
    this.fd = options.fd
    this.ram = options.ram
    this.#turn = options.turn
  }

  /** Sends a message and lets the back end work. */
  send(number: number, { body = new Uint8Array(0), fds = [], needReply = false }: SendOptions = {}): void {
    emitHeader({ request: number, reply: false, needReply, size: body.length }, this.#buffer.bytes, 0)
    this.#buffer.bytes.set(body, HEADER)
    this.sendRaw(this.#buffer.bytes.slice(0, HEADER + body.length), fds)
  }

  /** Any bytes, also such as no front end sends. */
  sendRaw(bytes: Uint8Array, fds: readonly number[] = []): void {
    this.#buffer.bytes.set(bytes)
    this.#iovecs.clear()
    this.#iovecs.push(this.#buffer.address, bytes.length)
    this.#message.prepareSend(this.#iovecs, fds)
    check(sys.sendMessage(this.fd, this.#message.header), "sendmsg")
    this.#turn()
  }

  /** Sends a request and returns the body of its answer. Throws where the back end hung up instead. */
  ask(number: number, options: SendOptions = {}): Uint8Array {
    this.send(number, options)
    return this.answer(number)
  }

  /** The body of the answer that the back end owes. */
  answer(number: number): Uint8Array {
    for (let turns = 0; turns < TURNS; turns++) {
      const got = sys.receive(this.fd, this.#buffer.address, HEADER + PAYLOAD_MAX, sys.MSG_DONTWAIT)
      if (got === -sys.EAGAIN) {
        this.#turn()
        continue
      }
      if (got <= 0) throw new Error(`the back end hung up instead of answering ${request.nameOf(number)}`)
      const header = parseHeader(this.#buffer.bytes, 0, got)
      if (
        typeof header === "string" ||
        !header.reply ||
        header.request !== number ||
        got !== HEADER + header.size
      )
        throw new Error(`no answer to ${request.nameOf(number)}: ${JSON.stringify(header)}`)
      return this.#buffer.bytes.slice(HEADER, got)
    }
    throw new Error(`the back end did not answer ${request.nameOf(number)}`)
  }

  /** Sends a request with NEED_REPLY. Returns whether it was fulfilled. */
  acknowledged(number: number, options: Omit<SendOptions, "needReply"> = {}): boolean {
    return bitsOf(this.ask(number, { ...options, needReply: true })) === 0n
  }

  /** Whether the back end has hung up. */
  get ended(): boolean {
    return sys.receive(this.fd, this.#buffer.address, 1, sys.MSG_DONTWAIT | sys.MSG_PEEK) === 0
  }

  features(): bigint {
    return bitsOf(this.ask(request.GET_FEATURES))
  }

  /** From connect to a device whose rings are enabled, in the order of QEMU. */
  start(
    rings: readonly DriverRing[],
    options: { readonly without?: bigint; readonly bases?: readonly number[] } = {},
  ): void {
    const offered = this.features()
    if (bitsOf(this.ask(request.GET_PROTOCOL_FEATURES)) > 0n)
      this.send(request.SET_PROTOCOL_FEATURES, { body: bits(features.PROTOCOL_F_REPLY_ACK) })
    this.send(request.SET_OWNER)
    for (const [index, ring] of rings.entries()) {
      this.send(request.SET_VRING_CALL, { body: descriptorOf(index), fds: [ring.callFd] })
      this.send(request.SET_VRING_ERR, { body: descriptorOf(index), fds: [ring.errorFd] })
    }
    this.send(request.SET_FEATURES, { body: bits(offered & ~(options.without ?? 0n)) })
    if (!this.setMemory()) throw new Error("the back end refused the memory")
    for (const [index, ring] of rings.entries()) this.startRing(index, ring, options.bases?.[index] ?? 0)
    for (const index of rings.keys()) this.enable(index, true)
  }

  setMemory(): boolean {
    const { regions } = this.ram
    const body = new Uint8Array(payload.sizeOfMemoryTable(regions))
    payload.emitMemoryTable(regions, body, 0)
    return this.acknowledged(request.SET_MEM_TABLE, { body, fds: regions.map(({ fd }) => fd) })
  }

  startRing(index: number, ring: DriverRing, base = 0): void {
    this.send(request.SET_VRING_NUM, { body: state(index, ring.size) })
    this.send(request.SET_VRING_BASE, { body: state(index, base) })
    this.setAddresses(index, ring)
    this.send(request.SET_VRING_KICK, { body: descriptorOf(index), fds: [ring.kickFd] })
    this.send(request.SET_VRING_CALL, { body: descriptorOf(index), fds: [ring.callFd] })
  }

  setAddresses(index: number, ring: DriverRing): void {
    const body = new Uint8Array(payload.VRING_ADDRESS)
    const address: payload.VringAddress = {
      index,
      logsDirtyPages: false,
      descriptors: this.ram.userAddress(ring.descriptors),
      used: this.ram.userAddress(ring.used),
      available: this.ram.userAddress(ring.available),
    }
    payload.emitVringAddress(address, body, 0)
    this.send(request.SET_VRING_ADDR, { body })
  }

  enable(index: number, on: boolean): void {
    this.send(request.SET_VRING_ENABLE, { body: state(index, on ? 1 : 0) })
  }

  /** Stops a ring and returns where the next owner goes on. */
  stopRing(index: number): number {
    const answer = this.ask(request.GET_VRING_BASE, { body: state(index, 0) })
    const parsed = payload.parseVringState(answer, 0, answer.length)
    if (typeof parsed === "string") throw new Error(`GET_VRING_BASE was answered with ${parsed}`)
    return parsed.value
  }

  config(offset: number, size: number): Uint8Array {
    const body = new Uint8Array(payload.CONFIG_HEAD + size)
    payload.emitConfigHead({ offset, size, flags: 0 }, body, 0)
    return this.ask(request.GET_CONFIG, { body }).subarray(payload.CONFIG_HEAD)
  }

  [Symbol.dispose](): void {
    sys.close(this.fd)
    this.#scratch[Symbol.dispose]()
  }
}

function bits(value: bigint): Uint8Array {
  const body = new Uint8Array(8)
  payload.emitBits(value, body, 0)
  return body
}

function bitsOf(body: Uint8Array): bigint {
  const parsed = payload.parseBits(body, 0, body.length)
  if (typeof parsed === "string") throw new Error(`64 bits were expected: ${parsed}`)
  return parsed
}

function state(index: number, value: number): Uint8Array {
  const body = new Uint8Array(payload.VRING_STATE)
  payload.emitVringState({ index, value }, body, 0)
  return body
}

function descriptorOf(index: number): Uint8Array {
  const body = new Uint8Array(8)
  payload.emitVringDescriptor({ index, hasDescriptor: true }, body, 0)
  return body
}

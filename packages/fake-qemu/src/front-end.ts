/**
 * A front end that speaks vhost-user as QEMU 7.2 does, for tests without a VM.
 *
 * Everything is synchronous: `turn` lets the back end work, which in a test is one step of its loop. A back end in another thread or process
 * works by itself, and is waited for.
 *
 * @module
 */
import { check } from "@skep/loop"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { DriverRing } from "./driver-ring.ts"
import type { GuestRam } from "./guest-ram.ts"
import {
  bodyOf,
  firstWord,
  MESSAGE_MAX,
  memoryTable,
  message,
  REPLY_ACK,
  REQUEST,
  ring as ringBody,
  words,
} from "./message.ts"

export interface FrontEndOptions {
  /** Connected to the back end; owned from now on. */
  readonly fd: number
  readonly ram: GuestRam
  /**
   * Lets the back end work. Called again while an answer is missing, at most `TURNS` times. Without it the back end is elsewhere: this thread
   * stands still until it answers, as QEMU's does, at most half a minute.
   */
  readonly turn?: () => void
}

const TURNS = 100
/** How long a back end elsewhere is waited for between two looks: briefly at first, since most answer at once. */
const [SHORT_MS, SHORT_TURNS, LONG_MS, LONG_TURNS] = [1, 50, 20, 1500]
/** Offset, size and flags before the bytes of a configuration. */
const CONFIG_HEAD = 12

export interface SendOptions {
  readonly body?: Uint8Array
  readonly fds?: readonly number[]
  readonly needReply?: boolean
}

export class FrontEnd implements Disposable {
  readonly fd: number
  readonly ram: GuestRam
  readonly #turn: (() => void) | undefined
  readonly #still = new Int32Array(new SharedArrayBuffer(4))
  readonly #scratch = new Scratch(64 * 1024)
  readonly #buffer = this.#scratch.region("buffer", MESSAGE_MAX)
  readonly #iovecs = new Iovecs(this.#scratch, "iovecs", 1)
  readonly #message = new Message(this.#scratch, "message", 16)

  constructor(options: FrontEndOptions) {
    this.fd = options.fd
    this.ram = options.ram
    this.#turn = options.turn
  }

  /** Sends a message and lets the back end work. */
  send(request: number, { body = new Uint8Array(0), fds = [], needReply = false }: SendOptions = {}): void {
    this.sendRaw(message(request, body, needReply), fds)
  }

  /** Any bytes, also such as no front end sends. */
  sendRaw(bytes: Uint8Array, fds: readonly number[] = []): void {
    this.#buffer.bytes.set(bytes)
    this.#iovecs.clear()
    this.#iovecs.push(this.#buffer.address, bytes.length)
    this.#message.prepareSend(this.#iovecs, fds)
    check(sys.sendMessage(this.fd, this.#message.header), "sendmsg")
    this.#turn?.()
  }

  /** Sends a request and returns the body of its answer. Throws where the back end hung up instead. */
  ask(request: number, options: SendOptions = {}): Uint8Array {
    this.send(request, options)
    return this.answer(request)
  }

  /** The body of the answer that the back end owes. */
  answer(request: number): Uint8Array {
    const most = this.#turn === undefined ? SHORT_TURNS + LONG_TURNS : TURNS
    for (let turns = 0; turns < most; turns++) {
      const got = sys.receive(this.fd, this.#buffer.address, MESSAGE_MAX, sys.MSG_DONTWAIT)
      if (got > 0) return bodyOf(this.#buffer.bytes.slice(0, got), request)
      if (got !== -sys.EAGAIN) throw new Error(`the back end hung up instead of answering ${request}`)
      this.#wait(turns)
    }
    throw new Error(`the back end did not answer ${request}`)
  }

  #wait(turns: number): void {
    if (this.#turn === undefined) Atomics.wait(this.#still, 0, 0, turns < SHORT_TURNS ? SHORT_MS : LONG_MS)
    else this.#turn()
  }

  /** Drops answers that nobody waits for. */
  drop(): void {
    while (sys.receive(this.fd, this.#buffer.address, MESSAGE_MAX, sys.MSG_DONTWAIT) > 0) continue
  }

  /** Sends a request with NEED_REPLY. Returns whether it was fulfilled. */
  acknowledged(request: number, options: Omit<SendOptions, "needReply"> = {}): boolean {
    return firstWord(this.ask(request, { ...options, needReply: true })) === 0n
  }

  /** Whether the back end has hung up, before it had read everything or afterwards. */
  get ended(): boolean {
    const got = sys.receive(this.fd, this.#buffer.address, 1, sys.MSG_DONTWAIT | sys.MSG_PEEK)
    return got === 0 || got === -sys.ECONNRESET
  }

  features(): bigint {
    return firstWord(this.ask(REQUEST.GET_FEATURES))
  }

  /** From connect to a device whose rings are enabled, in the order of QEMU. */
  start(
    rings: readonly DriverRing[],
    options: { readonly without?: bigint; readonly bases?: readonly number[] } = {},
  ): void {
    const offered = this.features()
    if (firstWord(this.ask(REQUEST.GET_PROTOCOL_FEATURES)) > 0n)
      this.send(REQUEST.SET_PROTOCOL_FEATURES, { body: words(REPLY_ACK) })
    this.send(REQUEST.SET_OWNER)
    for (const [index, ring] of rings.entries()) {
      this.send(REQUEST.SET_VRING_CALL, { body: words(index), fds: [ring.callFd] })
      this.send(REQUEST.SET_VRING_ERR, { body: words(index), fds: [ring.errorFd] })
    }
    this.send(REQUEST.SET_FEATURES, { body: words(offered & ~(options.without ?? 0n)) })
    if (!this.setMemory()) throw new Error("the back end refused the memory")
    for (const [index, ring] of rings.entries()) this.startRing(index, ring, options.bases?.[index] ?? 0)
    for (const index of rings.keys()) this.enable(index, true)
  }

  setMemory(): boolean {
    const { regions } = this.ram
    return this.acknowledged(REQUEST.SET_MEM_TABLE, {
      body: memoryTable(regions),
      fds: regions.map(({ fd }) => fd),
    })
  }

  startRing(index: number, ring: DriverRing, base = 0): void {
    this.send(REQUEST.SET_VRING_NUM, { body: ringBody(index, ring.size) })
    this.send(REQUEST.SET_VRING_BASE, { body: ringBody(index, base) })
    this.setAddresses(index, ring)
    this.send(REQUEST.SET_VRING_KICK, { body: words(index), fds: [ring.kickFd] })
    this.send(REQUEST.SET_VRING_CALL, { body: words(index), fds: [ring.callFd] })
  }

  setAddresses(index: number, ring: DriverRing): void {
    const [descriptors, used, available] = [ring.descriptors, ring.used, ring.available].map((address) =>
      this.ram.userAddress(address),
    )
    this.send(REQUEST.SET_VRING_ADDR, { body: words(index, descriptors ?? 0, used ?? 0, available ?? 0, 0) })
  }

  enable(index: number, on: boolean): void {
    this.send(REQUEST.SET_VRING_ENABLE, { body: ringBody(index, on ? 1 : 0) })
  }

  /** Stops a ring and returns where the next owner goes on. */
  stopRing(index: number): number {
    const answer = this.ask(REQUEST.GET_VRING_BASE, { body: ringBody(index, 0) })
    return Number(firstWord(answer) >> 32n)
  }

  config(offset: number, size: number): Uint8Array {
    const body = new Uint8Array(CONFIG_HEAD + size)
    body.set(new Uint8Array(Uint32Array.of(offset, size, 0).buffer))
    return this.ask(REQUEST.GET_CONFIG, { body }).subarray(CONFIG_HEAD)
  }

  [Symbol.dispose](): void {
    sys.close(this.fd)
    this.#scratch[Symbol.dispose]()
  }
}

/**
 * What a front end has told its back end so far, as a state: enough to tell it to another back end, or to stand in for one that is away.
 *
 * docs/interop/vhost-user.rst. The position of a ring is not in any message while it runs: it is read from the guest's memory, where every
 * chain that was given back is counted (Virtio 1.2, section 2.7.8). So chains that a back end took and never gave back are offered anew; a
 * device must stand that, and must give chains back in their order.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { GuestMemory } from "../memory/guest-memory.ts"
import { PROTOCOL_F_REPLY_ACK } from "../protocol/features.ts"
import { HEADER, type Header } from "../protocol/header.ts"
import * as payload from "../protocol/payload.ts"
import * as request from "../protocol/request.ts"

/** A message to be sent. Its descriptors stay the handshake's. */
export interface Told {
  readonly request: number
  readonly body: Uint8Array
  readonly fds: readonly number[]
}

interface Ring {
  num: Uint8Array | undefined
  address: Uint8Array | undefined
  /** Where it began, or was stopped. */
  base: number
  enable: Uint8Array | undefined
  readonly fds: Map<number, number>
}

const RINGS_MAX = 256
/** Far beyond what any back end takes or is asked: so that no front end makes us keep more and more. */
const REGIONS_MAX = 512
const ANSWERS_MAX = 256
/** Requests whose last message is all that counts, in the order they are told. */
const PLAIN = [request.SET_PROTOCOL_FEATURES, request.SET_OWNER, request.SET_FEATURES, request.NET_SET_MTU]
const DESCRIPTORS = [request.SET_VRING_CALL, request.SET_VRING_ERR, request.SET_VRING_KICK]

export class Handshake implements Disposable {
  readonly #plain = new Map<number, Uint8Array>()
  /** The memory table, then the regions that were added one by one. */
  #memory: { readonly request: number; readonly body: Uint8Array; readonly fds: readonly number[] }[] = []
  readonly #rings = new Map<number, Ring>()
  /** Answers of the back end, by request, and for parts of the configuration by their place. */
  readonly #answers = new Map<string, Uint8Array>()

  /** Whether rings run, so that a back end that goes is to be replaced. */
  get runs(): boolean {
    return [...this.#rings.values()].some(({ fds }) => fds.has(request.SET_VRING_KICK))
  }

  /** The features that were chosen, as 64 bits; undefined before that. */
  get features(): bigint | undefined {
    return this.#bits(request.SET_FEATURES)
  }

  /** The protocol features that were chosen; undefined before that. */
  get protocolFeatures(): bigint | undefined {
    return this.#bits(request.SET_PROTOCOL_FEATURES)
  }

  /** Whether any message may ask for an acknowledgement. */
  get acknowledges(): boolean {
    return ((this.protocolFeatures ?? 0n) & PROTOCOL_F_REPLY_ACK) !== 0n
  }

  /** Descriptors that wake the back end, and the guest. */
  get kicks(): readonly number[] {
    return this.#all(request.SET_VRING_KICK)
  }
  get calls(): readonly number[] {
    return this.#all(request.SET_VRING_CALL)
  }

  /**
   * Takes a message of the front end, and out of `fds` the descriptors to be kept, which are its own from then on; they are closed no earlier
   * than by a later message. What is malformed is not taken: the back end will say so.
   */
  tell({ request: number, size }: Header, bytes: Uint8Array, fds: number[]): void {
    const body = bytes.slice(HEADER, HEADER + size)
    if (PLAIN.includes(number)) this.#plain.set(number, body)
    else if (number === request.SET_MEM_TABLE) this.#setMemory(body, fds)
    else if (number === request.ADD_MEM_REG) this.#addRegion(body, fds)
    else if (number === request.REM_MEM_REG) this.#removeRegion(body)
    else if (number === request.RESET_OWNER || number === request.RESET_DEVICE) this.#clearRings()
    else this.#tellRing(number, body, fds)
  }

  /** Takes the back end's answer to a request with this body. */
  answered(number: number, question: Uint8Array, answer: Uint8Array): void {
    if (number === request.GET_VRING_BASE) this.#stop(question, answer)
    else if (this.#answers.size < ANSWERS_MAX) this.#answers.set(keyOf(number, question), answer)
  }

  /** The back end refused what it was told: no other is to hear of it. */
  refused(number: number, told: Uint8Array): void {
    if (number === request.ADD_MEM_REG) this.#removeRegion(told)
  }

  /** What the back end would answer; undefined where that is not known. Call `tell` before. */
  answer(number: number, question: Uint8Array): Uint8Array | undefined {
    if (number !== request.GET_VRING_BASE) return this.#answers.get(keyOf(number, question))
    const state = payload.parseVringState(question, 0, question.length)
    if (typeof state === "string") return undefined
    const answer = new Uint8Array(payload.VRING_STATE)
    payload.emitVringState({ index: state.index, value: this.#position(state.index) }, answer, 0)
    this.#stop(question, answer)
    return answer
  }

  /** What to tell another back end, in the order that a front end has. */
  *retell(): Generator<Told> {
    for (const number of PLAIN) {
      const body = this.#plain.get(number)
      if (body !== undefined) yield { request: number, body, fds: [] }
    }
    yield* this.#memory
    for (const index of this.#rings.keys()) yield* this.#retellRing(index)
  }

  /** Closes every descriptor. */
  [Symbol.dispose](): void {
    this.#clearRings()
    this.#dropMemory()
    this.#plain.clear()
    this.#answers.clear()
  }

  *#retellRing(index: number): Generator<Told> {
    const ring = this.#rings.get(index)
    if (ring?.num === undefined) return
    yield { request: request.SET_VRING_NUM, body: ring.num, fds: [] }
    const base = new Uint8Array(payload.VRING_STATE)
    payload.emitVringState({ index, value: this.#position(index) }, base, 0)
    yield { request: request.SET_VRING_BASE, body: base, fds: [] }
    if (ring.address !== undefined) yield { request: request.SET_VRING_ADDR, body: ring.address, fds: [] }
    for (const number of DESCRIPTORS) {
      const fd = ring.fds.get(number)
      if (fd === undefined) continue
      const body = new Uint8Array(8)
      payload.emitVringDescriptor({ index, hasDescriptor: true }, body, 0)
      yield { request: number, body, fds: [fd] }
    }
    if (ring.enable !== undefined) yield { request: request.SET_VRING_ENABLE, body: ring.enable, fds: [] }
  }

  #tellRing(number: number, body: Uint8Array, fds: number[]): void {
    const index = body[0] ?? 0
    if (body.length < 8 || index >= RINGS_MAX) return
    switch (number) {
      case request.SET_VRING_NUM:
        this.#ring(index).num = body
        return
      case request.SET_VRING_ADDR:
        this.#ring(index).address = body
        return
      case request.SET_VRING_ENABLE:
        this.#ring(index).enable = body
        return
      case request.SET_VRING_BASE: {
        const state = payload.parseVringState(body, 0, body.length)
        if (typeof state !== "string") this.#ring(index).base = state.value
        return
      }
      case request.SET_VRING_KICK:
      case request.SET_VRING_CALL:
      case request.SET_VRING_ERR:
        this.#setDescriptor(index, number, fds.shift())
        return
      default: // nothing that outlives the message
    }
  }

  /** The index of the first chain that was not given back. */
  #position(index: number): number {
    const ring = this.#rings.get(index)
    if (ring === undefined) return 0
    if (!ring.fds.has(request.SET_VRING_KICK) || ring.address === undefined) return ring.base
    const address = payload.parseVringAddress(ring.address, 0, ring.address.length)
    if (typeof address === "string") return ring.base
    using memory = this.#map()
    const view = memory.viewOfUser(address.used, 4)
    return view === undefined ? ring.base : Atomics.load(new Uint16Array(view.buffer), 1)
  }

  #map(): GuestMemory {
    // Two bytes of it are read, at once: a file that shrinks in between is its owner's crash of the machine in any case.
    const memory = new GuestMemory({ shrinkable: "accept" })
    for (const { request: number, body, fds } of this.#memory) {
      const parsed =
        number === request.SET_MEM_TABLE
          ? payload.parseMemoryTable(body, 0, body.length)
          : payload.parseSingleRegion(body, 0, body.length)
      if (typeof parsed === "string") continue
      const regions = "guestAddress" in parsed ? [parsed] : parsed
      for (const [i, region] of regions.entries()) memory.add(region, fds[i] ?? -1)
    }
    return memory
  }

  #stop(question: Uint8Array, answer: Uint8Array): void {
    const state = payload.parseVringState(answer, 0, answer.length)
    if (typeof state === "string" || question.length < 8) return
    const ring = this.#ring(state.index)
    ring.base = state.value
    this.#setDescriptor(state.index, request.SET_VRING_KICK, undefined)
  }

  #setDescriptor(index: number, number: number, fd: number | undefined): void {
    const { fds } = this.#ring(index)
    const before = fds.get(number)
    if (before !== undefined) sys.close(before)
    if (fd === undefined) fds.delete(number)
    else fds.set(number, fd)
  }

  #setMemory(body: Uint8Array, fds: number[]): void {
    this.#dropMemory()
    this.#memory.push({ request: request.SET_MEM_TABLE, body, fds: fds.splice(0) })
  }

  #addRegion(body: Uint8Array, fds: number[]): void {
    if (this.#memory.length >= REGIONS_MAX) return
    this.#memory.push({ request: request.ADD_MEM_REG, body, fds: fds.splice(0) })
  }

  #removeRegion(body: Uint8Array): void {
    const index = this.#memory.findIndex(
      (each) => each.request === request.ADD_MEM_REG && sameRegion(each.body, body),
    )
    if (index < 0) return
    for (const { fds } of this.#memory.splice(index, 1)) for (const fd of fds) sys.close(fd)
  }

  #dropMemory(): void {
    for (const { fds } of this.#memory.splice(0)) for (const fd of fds) sys.close(fd)
  }

  #clearRings(): void {
    for (const { fds } of this.#rings.values()) for (const fd of fds.values()) sys.close(fd)
    this.#rings.clear()
  }

  #ring(index: number): Ring {
    let ring = this.#rings.get(index)
    if (ring === undefined) {
      ring = { num: undefined, address: undefined, base: 0, enable: undefined, fds: new Map() }
      this.#rings.set(index, ring)
    }
    return ring
  }

  #bits(number: number): bigint | undefined {
    const body = this.#plain.get(number)
    const bits = body === undefined ? undefined : payload.parseBits(body, 0, body.length)
    return typeof bits === "bigint" ? bits : undefined
  }

  #all(number: number): readonly number[] {
    return [...this.#rings.values()].flatMap(({ fds }) => fds.get(number) ?? [])
  }
}

/** Guest address, size and front-end address are what a region is removed by. */
function sameRegion(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a.subarray(8, 32), b.subarray(8, 32)) === 0
}

function keyOf(number: number, question: Uint8Array): string {
  return number === request.GET_CONFIG
    ? `${number} ${Buffer.from(question.subarray(0, 8)).toString("hex")}`
    : String(number)
}

/**
 * Stands between a front end and its back end, so that the back end can be killed, upgraded or swapped under a running machine.
 *
 * ```
 *   QEMU ──► front ──[ Handshake: all that was told ]──► back ──► back end
 *
 *   waiting ──back end there──► relaying ──back end gone──► standing in ──back end there──► replaying ──told all──► relaying
 *      ▲                                                       ▲                               │
 *      └── front gone, from anywhere                            └── refused, gone, too slow ◄───┘
 * ```
 *
 * While no back end is there the keeper answers from what it knows, so the front end, which waits for answers with its whole machine
 * stopped, never does. The rings are untouched: the guest's chains stay in its memory until the next back end takes them.
 *
 * @module
 */
import type { Loop, Registration, Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { HEADER, type Header, prettyHeader } from "../protocol/header.ts"
import * as payload from "../protocol/payload.ts"
import * as request from "../protocol/request.ts"
import { MessageSocket } from "../socket/message-socket.ts"
import { Handshake, type Told } from "./handshake.ts"

const RETRY_FIRST_MS = 10
const RETRY_MAX_MS = 1000
/** How long a new back end may take to hear all that it has to. */
const REPLAY_MS = 5000
/** Messages relayed before others have their turn. */
const TURN = 16

export type KeeperState = "waiting" | "relaying" | "standing-in" | "replaying"

export interface KeeperOptions {
  readonly name: string
  /** A listening socket for the front end, owned from now on. */
  readonly fd: number
  /** Connects to the back end, without waiting: a descriptor, or `-errno`. */
  readonly connect: () => number
  readonly onState?: (state: KeeperState, reason: string) => void
}

export interface KeeperCounters {
  readonly relayed: number
  /** Messages that were answered without a back end. */
  readonly stoodIn: number
  readonly replays: number
  /** Replays that ended before everything was told. */
  readonly failedReplays: number
}

export class Keeper implements Disposable {
  readonly counters: { -readonly [K in keyof KeeperCounters]: number } = {
    relayed: 0,
    stoodIn: 0,
    replays: 0,
    failedReplays: 0,
  }
  readonly #options: KeeperOptions
  readonly #scope: Scope
  readonly #retry: Timer
  readonly #deadline: Timer
  #state: KeeperState = "waiting"
  #handshake = new Handshake()
  #front: Side | undefined
  #back: Side | undefined
  #retryMs = RETRY_FIRST_MS
  /** The request of the front end that the back end has not answered. */
  #asked: { readonly header: Header; readonly body: Uint8Array } | undefined
  /** What is left to tell a new back end, and the request that it is answering. */
  #script: Iterator<Step> | undefined
  #step: Step | undefined

  constructor(loop: Loop, options: KeeperOptions) {
    this.#options = options
    this.#scope = loop.scope(`keeper ${options.name}`)
    this.#retry = this.#scope.timer(() => this.#connect())
    this.#deadline = this.#scope.timer(() => this.#lose("it did not answer in time"))
    this.#scope.onDispose(() => {
      this.#hangUpBack()
      this.#front?.close()
      this.#handshake[Symbol.dispose]()
    })
    this.#scope.adopt(options.fd, sys.EPOLLIN, () => this.#accept())
  }

  get state(): KeeperState {
    return this.#state
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  #accept(): void {
    const fd = sys.accept(this.#options.fd, sys.SOCK_NONBLOCK)
    if (fd < 0) return // gone again, or no descriptors left: the next event tries anew
    // A second front end means that the first is dead and its hang-up is still on the way.
    if (this.#front !== undefined) this.#forget("another front end came")
    this.#front = this.#side(fd, () => this.#readFront())
    this.#connect()
  }

  #side(fd: number, read: () => void): Side {
    const socket = new MessageSocket(fd)
    const registration = this.#scope.add(fd, sys.EPOLLIN, read)
    return {
      socket,
      registration,
      close: () => {
        registration.remove()
        socket[Symbol.dispose]()
      },
    }
  }

  /** Looks for a back end; where there is none, again soon, and then ever less often. */
  #connect(): void {
    if (this.#front === undefined || this.#back !== undefined) return
    const fd = this.#options.connect()
    if (fd < 0) {
      this.#again(`no back end: ${sys.errnoName(-fd)}`)
      return
    }
    this.#back = this.#side(fd, () => this.#readBack())
    if (this.#handshake.features === undefined) {
      // Nothing was told yet that would outlive a message: the front end tells it itself.
      this.#enter("relaying", "the back end is there")
      this.#front.registration.again(sys.EPOLLIN)
      return
    }
    this.counters.replays++
    this.#enter("replaying", "another back end is there")
    this.#deadline.after(REPLAY_MS)
    this.#script = script(this.#handshake)
    this.#tellNext()
  }

  #again(reason: string): void {
    if (this.#handshake.features !== undefined) this.#enter("standing-in", reason)
    this.#retry.after(this.#retryMs)
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
  }

  #readFront(): void {
    for (let left = TURN; left > 0; left--) {
      // While the back end is being told, and before there ever was one, the front end's messages wait in its socket.
      if (this.#front === undefined || this.#state === "waiting" || this.#state === "replaying") return
      const { socket } = this.#front
      const result = socket.read()
      if (result === "wait") return
      if (result === "end") {
        this.#forget(socket.reason)
        return
      }
      this.#fromFront(socket)
    }
    this.#front?.registration.again(sys.EPOLLIN)
  }

  #fromFront(socket: MessageSocket): void {
    const { header, bytes, fds } = socket
    const body = bytes.slice(HEADER, HEADER + header.size)
    this.#handshake.tell(header, bytes, fds)
    const awaits = header.needReply || request.isAnswered(header.request)
    if (this.#back === undefined) {
      this.#standIn(header, body, awaits)
      return
    }
    if (awaits) this.#asked = { header, body }
    this.counters.relayed++
    if (!this.#back.socket.send(header, body, fds)) this.#lose(this.#back.socket.reason)
  }

  /** Answers for the back end. What it does not know it leaves open until one is there. */
  #standIn(header: Header, body: Uint8Array, awaits: boolean): void {
    if (!awaits) return
    const known = request.isAnswered(header.request) ? this.#handshake.answer(header.request, body) : DONE
    if (known === undefined) {
      this.#asked = { header, body }
      return
    }
    this.counters.stoodIn++
    this.#answer(header.request, known)
  }

  #answer(number: number, body: Uint8Array, fds: readonly number[] = []): void {
    const header = { request: number, reply: true, needReply: false, size: body.length }
    if (this.#front?.socket.send(header, body, fds) === false) this.#forget(this.#front.socket.reason)
  }

  #readBack(): void {
    for (let left = TURN; left > 0 && this.#back !== undefined; left--) {
      const { socket } = this.#back
      const result = socket.read()
      if (result === "wait") return
      if (result === "end") return this.#lose(socket.reason)
      if (this.#state === "replaying") this.#heard(socket)
      else this.#fromBack(socket)
    }
    this.#back?.registration.again(sys.EPOLLIN)
  }

  #fromBack(socket: MessageSocket): void {
    const asked = this.#asked
    const { header, bytes, fds } = socket
    if (asked?.header.request !== header.request)
      return this.#lose(`an answer that nobody asked for: ${prettyHeader(header)}`)
    this.#asked = undefined
    const body = bytes.slice(HEADER, HEADER + header.size)
    if (request.isAnswered(header.request)) this.#handshake.answered(header.request, asked.body, body)
    this.#answer(header.request, body, fds)
  }

  /** The back end's answer to a step of the replay. */
  #heard(socket: MessageSocket): void {
    const { header, bytes, end } = socket
    const step = this.#step
    if (step?.check === undefined || step.told.request !== header.request)
      return this.#lose(`an answer that nobody asked for: ${prettyHeader(header)}`)
    const refused = step.check(bytes.subarray(HEADER, end))
    if (refused !== undefined) return this.#lose(refused)
    this.#tellNext()
  }

  /** Tells on until a step wants an answer. */
  #tellNext(): void {
    while (this.#back !== undefined && this.#script !== undefined) {
      const next = this.#script.next()
      if (next.done === true) return this.#toldAll()
      const { told, check } = next.value
      this.#step = next.value
      const header = {
        request: told.request,
        reply: false,
        needReply: check !== undefined && !request.isAnswered(told.request),
        size: told.body.length,
      }
      if (!this.#back.socket.send(header, told.body, told.fds)) return this.#lose(this.#back.socket.reason)
      if (check !== undefined) return
    }
  }

  #toldAll(): void {
    this.#deadline.cancel()
    this.#script = undefined
    this.#step = undefined
    this.#retryMs = RETRY_FIRST_MS
    this.#enter("relaying", "the back end knows all")
    // A kick or a call may have been lost with the one before: one too many does no harm.
    for (const fd of [...this.#handshake.kicks, ...this.#handshake.calls]) sys.signal(fd)
    const asked = this.#asked
    if (asked !== undefined && this.#back?.socket.send(asked.header, asked.body) === false)
      return this.#lose(this.#back.socket.reason)
    this.#front?.registration.again(sys.EPOLLIN)
  }

  /** The back end is gone, or is of no use. */
  #lose(reason: string): void {
    if (this.#state === "replaying") this.counters.failedReplays++
    this.#hangUpBack()
    if (this.#front === undefined) return
    if (this.#handshake.features === undefined) {
      // It had not begun: the front end must not go on with another in the middle of a sentence.
      this.#forget(reason)
      return
    }
    this.#again(reason)
    const asked = this.#asked
    if (asked === undefined) return
    this.#asked = undefined
    this.#standIn(asked.header, asked.body, true)
  }

  #hangUpBack(): void {
    this.#deadline.cancel()
    this.#script = undefined
    this.#step = undefined
    this.#back?.close()
    this.#back = undefined
  }

  /** The front end is gone: what it told counts no more. */
  #forget(reason: string): void {
    this.#retry.cancel()
    this.#hangUpBack()
    this.#front?.close()
    this.#front = undefined
    this.#asked = undefined
    this.#retryMs = RETRY_FIRST_MS
    this.#handshake[Symbol.dispose]()
    this.#handshake = new Handshake()
    this.#enter("waiting", reason)
  }

  #enter(state: KeeperState, reason: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#options.onState?.(state, reason)
  }
}

interface Side {
  readonly socket: MessageSocket
  readonly registration: Registration
  readonly close: () => void
}

/** One message of the replay; with `check` its answer is waited for and may be a reason to refuse the back end. */
interface Step {
  readonly told: Told
  readonly check?: (answer: Uint8Array) => string | undefined
}

/** A back end without a feature that the guest uses would corrupt it. The memory is acknowledged, as it can be refused. */
function* script(handshake: Handshake): Generator<Step> {
  const chosen = handshake.features ?? 0n
  yield {
    told: { request: request.GET_FEATURES, body: new Uint8Array(0), fds: [] },
    check: (answer) => {
      const offered = payload.parseBits(answer, 0, answer.length)
      if (typeof offered === "string") return "its features are malformed"
      const lacks = chosen & ~offered
      return lacks === 0n ? undefined : `it lacks the features 0x${lacks.toString(16)}, which the guest uses`
    },
  }
  yield {
    told: { request: request.GET_PROTOCOL_FEATURES, body: new Uint8Array(0), fds: [] },
    check: () => undefined,
  }
  for (const told of handshake.retell()) {
    const memory = told.request === request.SET_MEM_TABLE || told.request === request.ADD_MEM_REG
    if (memory && handshake.acknowledges)
      yield { told, check: (answer) => (isDone(answer) ? undefined : "it refused the memory") }
    else yield { told }
  }
}

function isDone(answer: Uint8Array): boolean {
  return payload.parseBits(answer, 0, answer.length) === 0n
}

const DONE = new Uint8Array(8)

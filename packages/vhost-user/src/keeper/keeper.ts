/**
 * Stands between a front end and its back end, so that the back end can be killed, upgraded or swapped under a running machine.
 *
 * ```
 *   QEMU ◄─► front door ──[ Handshake: all that was told ]──► back ──► back end
 *            (front-door.ts: it listens, or connects)
 *
 *   waiting ──both there──► relaying ──back end gone, mute──► standing in ──back end there──► replaying ──told all──► relaying
 *      ▲                                                         ▲                               │
 *      └── front end gone, from anywhere                         └──── refused, gone, mute ◄─────┘
 * ```
 *
 * While no back end is there the keeper answers from what it knows, so the front end, which waits for answers with its whole machine
 * stopped, never does. The rings are untouched: the guest's chains stay in its memory until the next back end takes them.
 *
 * Mute is who does not answer within 5 s. Attempts at a back end come after 10 ms, then twice as long each time, up to 1 s; they begin anew
 * with one that lived for 1 s. What goes wrong at either side ends that side and is told by `onState`; nothing ends the keeper.
 *
 * @module
 */
import type { Loop, Registration, Scope, Timer } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { PROTOCOL_F_CONFIGURE_MEM_SLOTS } from "../protocol/features.ts"
import { HEADER, type Header, prettyHeader } from "../protocol/header.ts"
import * as payload from "../protocol/payload.ts"
import * as request from "../protocol/request.ts"
import { MessageSocket } from "../socket/message-socket.ts"
import { AN_EIGHTH, Backoff, DOUBLE } from "./backoff.ts"
import { type Front, FrontDoor } from "./front-door.ts"
import { Handshake } from "./handshake.ts"
import { isDone, replay, type Step } from "./replay.ts"

/** How long a new back end may take to hear all that it has to, and any to answer a question. */
const ANSWER_MS = 5000
/** A back end that lived so long was none that crashes at once: the next attempt need not wait. */
const STEADY_MS = 1000
/** Messages relayed before others have their turn. */
const TURN = 16

export type KeeperState = "waiting" | "relaying" | "standing-in" | "replaying"

export interface KeeperOptions {
  readonly name: string
  /** Where the front end comes from. */
  readonly front: Front
  /** Connects to the back end, without waiting: a descriptor, or `-errno`. */
  readonly connect: () => number
  /** A front end came, or went. */
  readonly onFront?: () => void
  /** Hears of each state, and of each new reason for it. */
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
  readonly #door: FrontDoor
  #state: KeeperState = "waiting"
  #reason = ""
  #handshake = new Handshake()
  #front: Side | undefined
  #back: Side | undefined
  readonly #backoff = new Backoff()
  #relayingSince = Number.POSITIVE_INFINITY
  /** Whether the front end said anything. */
  #spoke = false
  /** The request of the front end that the back end has not answered. */
  #asked: Asked | undefined
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
    this.#door = new FrontDoor({
      scope: this.#scope,
      front: options.front,
      onFront: (fd) => this.#welcome(fd),
      onNone: (reason) => this.#enter(this.#state, reason),
    })
  }

  get state(): KeeperState {
    return this.#state
  }

  /** Whether a front end is there. */
  get fronted(): boolean {
    return this.#front !== undefined
  }

  /** Whether the guest's driver has rings running, as far as this keeper was told. */
  get runs(): boolean {
    return this.#handshake.runs
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]()
  }

  #welcome(fd: number): void {
    if (this.#front !== undefined) this.#part("another front end came")
    this.#front = this.#side("front end", fd, {
      read: () => this.#readFront(),
      failed: (reason) => this.#forget(reason),
    })
    this.#options.onFront?.()
    this.#connect()
  }

  /** An exception in what its messages bring about ends that side and nothing else. */
  #side(name: string, fd: number, { read, failed }: SideHooks): Side {
    const scope = this.#scope.scope(name, (error) => failed(reasonOf(error)))
    const socket = new MessageSocket(fd)
    scope.onDispose(() => socket[Symbol.dispose]())
    const registration = scope.add(fd, sys.EPOLLIN, read)
    return { socket, registration, close: () => scope[Symbol.dispose]() }
  }

  /** Looks for a back end; where there is none, again soon, and then ever less often. */
  #connect(): void {
    if (this.#front === undefined || this.#back !== undefined) return
    const fd = this.#options.connect()
    if (fd < 0) {
      this.#again(`no back end: ${sys.errnoName(-fd)}`, AN_EIGHTH)
      return
    }
    this.#back = this.#side("back end", fd, {
      read: () => this.#readBack(),
      failed: (reason) => this.#lose(reason),
    })
    if (this.#handshake.features === undefined) {
      // Nothing was told yet that would outlive a message: the front end tells it itself.
      this.#relay("the back end is there")
      this.#front.registration.again(sys.EPOLLIN)
      return
    }
    this.counters.replays++
    this.#enter("replaying", "another back end is there")
    this.#deadline.after(ANSWER_MS)
    this.#script = replay(this.#handshake)
    this.#tellNext()
  }

  #again(reason: string, growth: number): void {
    this.#enter(this.#handshake.features === undefined ? "waiting" : "standing-in", reason)
    if (this.#scope.loop.now - this.#relayingSince >= STEADY_MS) this.#backoff.reset()
    this.#relayingSince = Number.POSITIVE_INFINITY
    this.#retry.after(this.#backoff.next(growth))
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
    const sent = [...fds]
    this.#spoke = true
    this.#handshake.tell(header, bytes, fds)
    const awaits = header.needReply || request.isAnswered(header.request)
    if (this.#back === undefined) {
      this.#standIn(header, body, awaits)
      return
    }
    if (awaits) this.#ask({ header, body })
    this.counters.relayed++
    if (!this.#back.socket.send(header, body, sent)) this.#lose(this.#back.socket.reason)
  }

  /** The back end owes an answer from now on. */
  #ask(asked: Asked): void {
    this.#asked = asked
    this.#deadline.after(ANSWER_MS)
  }

  /** Answers for the back end. What it does not know it leaves open until one is there. */
  #standIn(header: Header, body: Uint8Array, awaits: boolean): void {
    if (!awaits) return
    let known: Uint8Array | undefined = DONE
    try {
      if (request.isAnswered(header.request)) known = this.#handshake.answer(header.request, body)
    } catch (error) {
      // Its memory cannot be mapped, so nobody can tell where its rings are.
      return this.#forget(reasonOf(error))
    }
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
    this.#deadline.cancel()
    const body = bytes.slice(HEADER, HEADER + header.size)
    if (header.request === request.GET_PROTOCOL_FEATURES) withholdMemorySlots(body)
    if (request.isAnswered(header.request)) this.#handshake.answered(header.request, asked.body, body)
    else if (!isDone(body)) this.#handshake.refused(header.request, asked.body)
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
    this.#relay("the back end knows all")
    // A kick or a call may have been lost with the one before: one too many does no harm.
    for (const fd of [...this.#handshake.kicks, ...this.#handshake.calls]) sys.signal(fd)
    const asked = this.#asked
    if (asked !== undefined) {
      this.#ask(asked)
      if (this.#back?.socket.send(asked.header, asked.body) === false)
        return this.#lose(this.#back.socket.reason)
    }
    this.#front?.registration.again(sys.EPOLLIN)
  }

  #relay(reason: string): void {
    this.#relayingSince = this.#scope.loop.now
    this.#enter("relaying", reason)
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
    this.#again(reason, DOUBLE)
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

  /** The front end is gone: another is looked for. */
  #forget(reason: string): void {
    const spoke = this.#spoke
    this.#part(reason)
    this.#door.lost(spoke)
  }

  /** What the front end told counts no more. */
  #part(reason: string): void {
    this.#retry.cancel()
    this.#hangUpBack()
    this.#front?.close()
    this.#front = undefined
    this.#options.onFront?.()
    this.#asked = undefined
    this.#spoke = false
    this.#backoff.reset()
    this.#handshake[Symbol.dispose]()
    this.#handshake = new Handshake()
    this.#enter("waiting", reason)
  }

  #enter(state: KeeperState, reason: string): void {
    if (this.#state === state && this.#reason === reason) return
    this.#state = state
    this.#reason = reason
    this.#options.onState?.(state, reason)
  }
}

interface Asked {
  readonly header: Header
  readonly body: Uint8Array
}

interface SideHooks {
  readonly read: () => void
  readonly failed: (reason: string) => void
}

interface Side {
  readonly socket: MessageSocket
  readonly registration: Registration
  readonly close: () => void
}

/**
 * With this protocol feature QEMU tells which regions came and went since it last told, so that another keeper would never hear of those that
 * stayed. Without it QEMU tells the whole table each time a driver starts the device.
 */
function withholdMemorySlots(body: Uint8Array): void {
  const bits = payload.parseBits(body, 0, body.length)
  if (typeof bits === "bigint") payload.emitBits(bits & ~PROTOCOL_F_CONFIGURE_MEM_SLOTS, body, 0)
}

/** Why something threw, for `onState`. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

const DONE = new Uint8Array(8)

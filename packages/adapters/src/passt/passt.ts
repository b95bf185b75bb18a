/**
 * passt in the network role: the network of one machine, over QEMU's stream.
 *
 * Theory of operation. passt takes its ports at its start and never again. So a change of the forwards is another passt on the same socket:
 * QEMU loses the stream, the launcher joins it to the new one within milliseconds, and the guest's link stays as it is; but connections through the old
 * one end, as they do when passt dies. Changes that come while one is being made are made together. A host port is bound for a moment before, so that a
 * forward that cannot be had costs nobody a connection. The forwards live with the program: whoever kills the adapter finds
 * it gone with them at the next start, and asks for them again.
 *
 * Limits, declared as gaps in the contract suite: IPv4 only; forwards lead to the guest's own address; a port of the host where nobody listens is
 * no refusal but a silence (Debian 12's passt); no names of its own, as it only leads to the host's name servers. `policy` is kept by the kernel: command-line.ts says how.
 *
 * @module
 */
import {
  type Context,
  type Forward,
  type ForwardRule,
  type NetworkRunning,
  type NetworkStatus,
  type Sidecar,
  SidecarError,
} from "@skep/contract"
import { Cleanup, forwardName, notRunning, parseForwardRule, sleep, withResolvers } from "@skep/runtime"
import { endForgotten } from "../host-side/forgotten.ts"
import { probeHostSide } from "../host-side/probe.ts"
import { lockSocket } from "../host-side/socket-lock.ts"
import { checkForward, passtArguments } from "./command-line.ts"
import { hasClient } from "./company.ts"
import { leakingInterfaces } from "./localnet.ts"
import { type PasstOptions, parsePasstOptions } from "./options.ts"
import { boundName, logFileOf, type PasstProgram, recordOf, startPasst } from "./program.ts"

const NAME = "passt"
/** How often it is looked for company within `lonelyMs`. */
const LOOKS = 4
/** How long a change of the forwards waits for the machine to join again. */
const REJOIN_MS = 2000
const REJOIN_POLL_MS = 5

export const passt: Sidecar<PasstOptions, NetworkStatus, NetworkRunning> = {
  name: NAME,
  parseOptions: parsePasstOptions,
  start,
}

/** Codes: "host-program-missing", "unsupported" (the policy cannot be kept here), "address-in-use" for the socket or a forward, "crashed". */
async function start(options: PasstOptions, context: Context): Promise<NetworkRunning> {
  context.signal.throwIfAborted()
  refuseLeaks(options)
  for (const rule of options.forwards) checkForward(rule, options.address)
  await using cleanup = new Cleanup()
  const lock = await lockSocket(options.socket, context.signal)
  cleanup.defer(() => lock[Symbol.dispose]())
  await endForgotten(recordOf(options.socket))
  for (const rule of options.forwards) await probeHostSide(rule)
  const running = new Passt(options, context)
  await running.open(context.signal)
  cleanup.move()
  running.owns(lock)
  return running
}

function refuseLeaks({ policy }: PasstOptions): void {
  const leaks = policy === "loopback" ? leakingInterfaces() : []
  if (leaks.length === 0) return
  throw new SidecarError(
    "unsupported",
    `Cannot keep the guest to the host's loopback: ${leaks.join(", ")} would let its packets out`,
    { next: `Turn that off: sysctl net.ipv4.conf.${leaks[0] ?? "all"}.route_localnet=0` },
  )
}

interface Round {
  readonly done: Promise<void>
  readonly add: Map<string, ForwardRule>
  readonly remove: Set<string>
}

class Passt implements NetworkRunning {
  readonly endpoints: readonly string[]
  readonly closed: Promise<void>
  readonly #options: PasstOptions
  readonly #context: Context
  readonly #end = withResolvers<void>()
  readonly #counters = { forwardsAdded: 0, forwardsRemoved: 0, forwardsRefused: 0, restarts: 0 }
  /** What the passt that runs was started with, beside those of the options; by host side. */
  #rules: ReadonlyMap<string, ForwardRule> = new Map()
  readonly #forwards = new Map<string, Forward>()
  #program: PasstProgram | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #round: Round | undefined
  #stopping: Promise<void> | undefined
  #lonely: NodeJS.Timeout | undefined
  #owned: Disposable | undefined

  constructor(options: PasstOptions, context: Context) {
    this.#options = options
    this.#context = context
    this.endpoints = [options.socket]
    this.closed = this.#end.promise
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  }

  async open(signal: AbortSignal): Promise<void> {
    await this.#start(this.#rules, signal)
    this.#watchCompany()
  }

  /** Let go of at the end. */
  owns(lock: Disposable): void {
    this.#owned = lock
  }

  async status(): Promise<NetworkStatus> {
    this.#mustRun()
    await this.#turn.catch(() => undefined) // whoever asked for it hears of it
    return { forwards: [...this.#options.forwards, ...this.#rules.values()], counters: { ...this.#counters } }
  }

  async forward(wanted: ForwardRule): Promise<Forward> {
    this.#mustRun()
    const rule = parseForwardRule(wanted)
    try {
      checkForward(rule, this.#options.address)
      return await this.#add(rule)
    } catch (error) {
      this.#counters.forwardsRefused++
      throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #add(rule: ForwardRule): Promise<Forward> {
    const key = hostSide(rule)
    const there = this.#ruleAt(key)
    if (there !== undefined && !isSame(there, rule, this.#options.address))
      throw new SidecarError(
        "address-in-use",
        `Cannot forward "${forwardName(rule)}": "${forwardName(there)}" is in place`,
      )
    if (there === undefined) {
      await probeHostSide(rule)
      const round = this.#nextRound()
      round.add.set(key, rule)
      round.remove.delete(key)
      await round.done
      if (!this.#rules.has(key)) throw await this.#refusal(rule)
      this.#counters.forwardsAdded++
    }
    const forward = this.#held(rule)
    this.#forwards.set(key, forward)
    return forward
  }

  #ruleAt(key: string): ForwardRule | undefined {
    const mine = this.#round?.remove.has(key) === true ? undefined : this.#rules.get(key)
    return mine ?? this.#round?.add.get(key) ?? this.#options.forwards.find((rule) => hostSide(rule) === key)
  }

  #held(rule: ForwardRule): Forward {
    let removed: Promise<void> | undefined
    const forward: Forward = {
      rule,
      [Symbol.asyncDispose]: () => {
        removed ??= this.#remove(hostSide(rule), forward)
        return removed
      },
    }
    return forward
  }

  async #remove(key: string, forward: Forward): Promise<void> {
    // Somebody adopted the same rule since: it is theirs now.
    if (this.#forwards.get(key) !== forward) return
    this.#forwards.delete(key)
    if (this.#stopping !== undefined || !this.#rules.has(key)) return
    const round = this.#nextRound()
    round.remove.add(key)
    round.add.delete(key)
    await round.done
    this.#counters.forwardsRemoved++
  }

  /** The changes that are made together when those under way have been made. */
  #nextRound(): Round {
    if (this.#round !== undefined) return this.#round
    const changes = { add: new Map<string, ForwardRule>(), remove: new Set<string>() }
    const done = this.#turn.then(async () => {
      this.#round = undefined
      try {
        await this.#change(changes)
      } catch (error) {
        if (this.#program === undefined && this.#stopping === undefined) this.#died([String(error)])
        throw error
      }
    })
    this.#turn = done.catch(() => undefined)
    this.#round = { ...changes, done }
    return this.#round
  }

  async #change({ add, remove }: Pick<Round, "add" | "remove">): Promise<void> {
    if (this.#stopping !== undefined) throw notRunning(NAME)
    const kept = new Map([...this.#rules].filter(([key]) => !remove.has(key)))
    if (add.size === 0 && kept.size === this.#rules.size) return
    if (await this.#tryRestart(new Map([...kept, ...add]))) return
    // One of them cannot be had after all; the others are not to suffer for it.
    let whole = kept
    for (const [key, rule] of add) {
      const more = new Map([...whole, [key, rule]])
      if (await this.#tryRestart(more)) whole = more
    }
    if (this.#program === undefined) await this.#restart(whole)
  }

  async #tryRestart(rules: ReadonlyMap<string, ForwardRule>): Promise<boolean> {
    try {
      await this.#restart(rules)
      return true
    } catch (error) {
      if (!(error instanceof SidecarError) || error.code !== "crashed") throw error
      this.#context.log.info("passt refused its forwards", { reason: error.message })
      return false
    }
  }

  async #restart(rules: ReadonlyMap<string, ForwardRule>): Promise<void> {
    const before = this.#program
    const joined = before?.joined() === true
    this.#program = undefined
    await before?.[Symbol.asyncDispose]()
    this.#counters.restarts++
    await this.#start(rules, neverAborts)
    if (joined) await this.#rejoined()
  }

  /** A forward is of use when the machine is back, which it is in some milliseconds where somebody sees to that. */
  async #rejoined(): Promise<void> {
    const end = performance.now() + REJOIN_MS
    while (this.#program?.joined() === false && performance.now() < end)
      await sleep(REJOIN_POLL_MS, neverAborts)
  }

  async #start(rules: ReadonlyMap<string, ForwardRule>, signal: AbortSignal): Promise<void> {
    const { program, socket, forwards, mac, address, gateway } = this.#options
    const args = passtArguments({
      options: this.#options,
      bound: boundName(socket),
      logFile: logFileOf(socket),
      forwards: [...forwards, ...rules.values()],
      user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    })
    const { log } = this.#context
    const started = await startPasst({
      program,
      args,
      socket,
      introduction: mac === undefined ? undefined : { mac, address, gateway },
      signal,
      onLine: (line) => log.debug("passt", { line }),
    })
    this.#program = started
    this.#rules = rules
    void started.exited.then((words) => {
      if (this.#program === started) this.#died(words)
    })
  }

  /** passt does not say why a port is refused; the kernel does, where it still refuses. */
  async #refusal(rule: ForwardRule): Promise<unknown> {
    try {
      await probeHostSide(rule)
    } catch (error) {
      return error
    }
    return new SidecarError(
      "address-in-use",
      `Cannot forward "${forwardName(rule)}": passt could not bind it`,
    )
  }

  #watchCompany(): void {
    const { lonelyMs } = this.#options
    if (lonelyMs === 0) return
    let alone = 0
    this.#lonely = setInterval(() => {
      const pid = this.#program?.pid
      const isAlone = pid === undefined || !hasClient(pid, boundName(this.#options.socket))
      alone = isAlone ? alone + 1 : 0
      if (alone < LOOKS || this.#stopping !== undefined) return
      this.#context.log.info("lonely", { lonelyMs })
      void this[Symbol.asyncDispose]()
    }, lonelyMs / LOOKS)
  }

  #died(words: readonly string[]): void {
    const reason = words.at(-1) ?? "its process ended without a word"
    this.#program = undefined
    this.#stopping ??= this.#release()
    this.#end.reject(new SidecarError("crashed", `The network ${NAME} is gone: ${reason}`, { detail: words }))
  }

  async #stop(): Promise<void> {
    await this.#turn.catch(() => undefined)
    const program = this.#program
    this.#program = undefined
    await program?.[Symbol.asyncDispose]()
    await this.#release()
    this.#end.resolve()
  }

  async #release(): Promise<void> {
    clearInterval(this.#lonely)
    this.#forwards.clear()
    await endForgotten(recordOf(this.#options.socket))
    this.#owned?.[Symbol.dispose]()
  }

  #mustRun(): void {
    if (this.#stopping !== undefined) throw notRunning(NAME)
  }
}

function hostSide({ transport, hostAddress, hostPort }: ForwardRule): string {
  return `${transport} ${hostAddress}:${hostPort}`
}

/** Equal, where a guest address that only says the default counts as none. */
function isSame(a: ForwardRule, b: ForwardRule, guest: string): boolean {
  return a.guestPort === b.guestPort && (a.guestAddress ?? guest) === (b.guestAddress ?? guest)
}

const neverAborts = new AbortController().signal

/**
 * gvproxy in the network role: the network of one machine, over QEMU's stream, whose forwards come and go through gvproxy's HTTP service.
 *
 * Theory of operation. The forwards live in gvproxy; this process only asks for them, and knows what it asked for. gvproxy serves one machine, and
 * ends when that hangs up: then this sidecar is gone as well, and whoever runs it starts another, to which the launcher joins the machine.
 * A killed adapter's gvproxy is ended by the next one.
 *
 * Limits: no policy, so that the guest reaches what the host reaches, its loopback included; IPv4 inside; forwards lead to the guest's own address,
 * which it has by its MAC address (command-line.ts).
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
import { Cleanup, forwardName, notRunning, parseForwardRule, withResolvers } from "@skep/runtime"
import { endForgotten } from "../host-side/forgotten.ts"
import { probeHostSide } from "../host-side/probe.ts"
import { lockSocket } from "../host-side/socket-lock.ts"
import { hasClient } from "../passt/company.ts"
import { proxyOf, ruleOf } from "./api.ts"
import { type GvproxyOptions, parseGvproxyOptions } from "./options.ts"
import { type GvproxyProgram, recordOf, startGvproxy } from "./program.ts"

const NAME = "gvproxy"
/** How often it is looked for company within `lonelyMs`. */
const LOOKS = 4

export const gvproxy: Sidecar<GvproxyOptions, NetworkStatus, NetworkRunning> = {
  name: NAME,
  parseOptions: parseGvproxyOptions,
  start,
}

/** Codes: "host-program-missing", "unsupported" for a forward, "address-in-use" for the socket or a forward, "crashed", "timeout". */
async function start(options: GvproxyOptions, context: Context): Promise<NetworkRunning> {
  const { signal, log } = context
  signal.throwIfAborted()
  for (const rule of options.forwards) proxyOf(rule)
  await using cleanup = new Cleanup()
  const lock = await lockSocket(options.socket, signal, `${options.socket}.gvproxy.lock`)
  cleanup.defer(() => lock[Symbol.dispose]())
  await endForgotten(recordOf(options.socket))
  const program = cleanup.use(await startGvproxy(options, signal, (line) => log.debug("gvproxy", { line })))
  const running = new Gvproxy(options, program, lock)
  for (const rule of options.forwards) await running.forward(rule)
  signal.throwIfAborted()
  cleanup.move()
  running.watch(log)
  return running
}

class Gvproxy implements NetworkRunning {
  readonly endpoints: readonly string[]
  readonly closed: Promise<void>
  readonly #options: GvproxyOptions
  readonly #program: GvproxyProgram
  readonly #lock: Disposable
  readonly #end = withResolvers<void>()
  readonly #counters = { forwardsAdded: 0, forwardsRemoved: 0, forwardsRefused: 0 }
  /** What was asked for here, by host side. */
  readonly #rules = new Map<string, ForwardRule>()
  readonly #forwards = new Map<string, Forward>()
  /** One change at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined
  #lonely: NodeJS.Timeout | undefined

  constructor(options: GvproxyOptions, program: GvproxyProgram, lock: Disposable) {
    this.#options = options
    this.#program = program
    this.#lock = lock
    this.endpoints = [options.socket]
    this.closed = this.#end.promise
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  }

  /** From here on its end is told, and it ends by itself where it is told to. */
  watch(log: Context["log"]): void {
    void this.#program.exited.then((words) => this.#died(words))
    const { lonelyMs, socket } = this.#options
    if (lonelyMs === 0) return
    let alone = 0
    this.#lonely = setInterval(() => {
      alone = hasClient(this.#program.pid, socket) ? 0 : alone + 1
      if (alone < LOOKS || this.#stopping !== undefined) return
      log.info("lonely", { lonelyMs })
      void this[Symbol.asyncDispose]()
    }, lonelyMs / LOOKS)
  }

  async status(): Promise<NetworkStatus> {
    this.#mustRun()
    const proxies = await this.#program.api.all(neverAborts)
    const forwards = proxies.flatMap((proxy) => {
      const rule = ruleOf(proxy)
      return rule === undefined ? [] : [this.#rules.get(hostSide(rule)) ?? rule]
    })
    return { forwards, counters: { ...this.#counters } }
  }

  async forward(wanted: ForwardRule): Promise<Forward> {
    this.#mustRun()
    const rule = parseForwardRule(wanted)
    try {
      return await this.#inTurn(() => this.#add(rule))
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
    const proxy = proxyOf(rule)
    const there = this.#rules.get(key)
    if (there !== undefined && proxyOf(there).remote !== proxy.remote)
      throw new SidecarError(
        "address-in-use",
        `Cannot forward "${forwardName(rule)}": "${forwardName(there)}" is in place`,
      )
    if (there === undefined) {
      await probeHostSide(rule)
      await this.#program.api.expose(proxy, neverAborts)
      this.#rules.set(key, rule)
      this.#counters.forwardsAdded++
    }
    const forward = this.#held(rule)
    this.#forwards.set(key, forward)
    return forward
  }

  #held(rule: ForwardRule): Forward {
    let removed: Promise<void> | undefined
    const forward: Forward = {
      rule,
      [Symbol.asyncDispose]: () => {
        removed ??= this.#inTurn(() => this.#remove(rule, forward))
        return removed
      },
    }
    return forward
  }

  async #remove(rule: ForwardRule, forward: Forward): Promise<void> {
    const key = hostSide(rule)
    // Somebody adopted the same rule since: it is theirs now.
    if (this.#forwards.get(key) !== forward || this.#stopping !== undefined) return
    await this.#program.api.unexpose(proxyOf(rule), neverAborts)
    this.#forwards.delete(key)
    this.#rules.delete(key)
    this.#counters.forwardsRemoved++
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(change)
    this.#turn = done.catch(() => undefined) // whoever asked for it hears of it
    return done
  }

  #died(words: readonly string[]): void {
    if (this.#stopping !== undefined) return
    this.#stopping = this.#release()
    const reason = words.at(-1) ?? "its process ended without a word"
    this.#end.reject(new SidecarError("crashed", `The network ${NAME} is gone: ${reason}`, { detail: words }))
  }

  async #stop(): Promise<void> {
    await this.#release()
    this.#end.resolve()
  }

  async #release(): Promise<void> {
    clearInterval(this.#lonely)
    await this.#program[Symbol.asyncDispose]()
    await this.#turn
    this.#lock[Symbol.dispose]()
  }

  #mustRun(): void {
    if (this.#stopping !== undefined) throw notRunning(NAME)
  }
}

function hostSide({ transport, hostAddress, hostPort }: ForwardRule): string {
  return `${transport} ${hostAddress}:${hostPort}`
}

const neverAborts = new AbortController().signal

/**
 * QEMU's own user networking (libslirp) in the network role: forwards are added and removed live through a monitor.
 *
 * Theory of operation. The forwards live in QEMU, not here: this adapter may be killed and started again, and finds in
 * `info usernet` what is in place. A machine needs a monitor socket for it alone, since QEMU serves one client a socket.
 * Limits, declared as gaps in the contract suite: no IPv6 on the host side (QEMU 7.2 parses none), no forward to a guest
 * address that libslirp cannot resolve.
 *
 * @module
 */
import { isIPv4 } from "node:net"
import {
  type Context,
  type Forward,
  type ForwardRule,
  type NetworkRunning,
  type NetworkStatus,
  type Sidecar,
  SidecarError,
} from "@skep/contract"
import { connectQmp, monitor, type Qmp } from "@skep/qmp"
import { forwardName, notRunning, parseForwardRule, withResolvers } from "@skep/runtime"
import * as z from "zod"
import { probeHostSide } from "../host-side/probe.ts"
import { addLine, DEFAULT_GUEST, parseForwards, removeLine } from "./usernet.ts"

const NAME = "qemu-user"

export interface QemuUserOptions {
  /** A QMP socket of the machine that nobody else uses. */
  readonly qmp: string
  /** The id of the `-netdev user`. */
  readonly netdev: string
  /** The guest's address. */
  readonly guest: string
}

const Options: z.ZodType<QemuUserOptions> = z.strictObject({
  qmp: z.string().min(1),
  netdev: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_-]*$/, "is no QEMU id")
    .default("net0"),
  guest: z.ipv4().default(DEFAULT_GUEST),
})

export const qemuUser: Sidecar<QemuUserOptions, NetworkStatus, NetworkRunning> = {
  name: NAME,
  parseOptions: (input) => {
    const parsed = Options.safeParse(input)
    if (parsed.success) return parsed.data
    throw new SidecarError(
      "bad-options",
      `Cannot read the options of ${NAME}: ${z.prettifyError(parsed.error)}`,
    )
  },
  start: async (options, context) => {
    context.signal.throwIfAborted()
    return await QemuUser.start(options, context)
  },
}

class QemuUser implements NetworkRunning {
  readonly endpoints: readonly string[]
  readonly closed: Promise<void>
  readonly #options: QemuUserOptions
  readonly #qmp: Qmp
  /** Forwards that this instance added or adopted, by host side; they go when it is disposed. */
  readonly #forwards = new Map<string, Forward>()
  /** One monitor command at a time, so that a list and what is decided from it belong together. */
  #turn: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined
  #counters = { forwardsAdded: 0, forwardsRemoved: 0, forwardsRefused: 0 }

  static async start(options: QemuUserOptions, context: Context): Promise<QemuUser> {
    const end = withResolvers<void>()
    let shutdown = false
    const qmp = await connectQmp(options.qmp, {
      signal: context.signal,
      onEvent: (event) => {
        if (event.name === "SHUTDOWN") shutdown = true
      },
    })
    const running = new QemuUser(options, qmp, end.promise)
    void qmp.closed.then(
      () => running.#ended(shutdown, end),
      () => running.#ended(shutdown, end),
    )
    try {
      await running.#list()
      context.signal.throwIfAborted()
    } catch (error) {
      await qmp[Symbol.asyncDispose]()
      throw error
    }
    return running
  }

  private constructor(options: QemuUserOptions, qmp: Qmp, closed: Promise<void>) {
    this.#options = options
    this.#qmp = qmp
    this.closed = closed
    closed.catch(() => undefined) // whoever awaits `closed` gets the reason; nobody has to
    this.endpoints = [options.qmp]
  }

  async status(): Promise<NetworkStatus> {
    this.#mustRun()
    return { forwards: await this.#inTurn(() => this.#list()), counters: { ...this.#counters } }
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
    if (!isIPv4(rule.hostAddress) || (rule.guestAddress !== undefined && !isIPv4(rule.guestAddress))) {
      throw new SidecarError(
        "unsupported",
        `Cannot forward "${forwardName(rule)}": QEMU's user network forwards IPv4 only`,
        {
          next: "Publish the port on an IPv4 address, such as 127.0.0.1",
        },
      )
    }
    const there = (await this.#list()).find((other) => hostSide(other) === hostSide(rule))
    if (there !== undefined && forwardName(there) !== forwardName(normal(rule, this.#options.guest))) {
      throw new SidecarError(
        "address-in-use",
        `Cannot forward "${forwardName(rule)}": "${forwardName(there)}" is in place`,
      )
    }
    if (there === undefined) {
      await probeHostSide(rule)
      await this.#monitor(addLine(this.#options.netdev, rule, this.#options.guest), rule)
      this.#counters.forwardsAdded++
    }
    const forward = this.#held(rule)
    this.#forwards.set(hostSide(rule), forward)
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
    // Somebody adopted the same rule since: it is theirs now.
    if (this.#forwards.get(hostSide(rule)) !== forward) return
    this.#forwards.delete(hostSide(rule))
    if (this.#stopping !== undefined && (await settled(this.#qmp.closed))) return // it went with the machine
    await monitor(this.#qmp, removeLine(this.#options.netdev, rule))
    this.#counters.forwardsRemoved++
  }

  async #monitor(line: string, rule: ForwardRule): Promise<void> {
    const answer = (await monitor(this.#qmp, line)).trim()
    if (answer === "") return
    throw new SidecarError("address-in-use", `Cannot forward "${forwardName(rule)}": QEMU says ${answer}`)
  }

  async #list(): Promise<readonly ForwardRule[]> {
    return parseForwards(await monitor(this.#qmp, "info usernet"), this.#options.guest)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #mustRun(): void {
    if (this.#stopping !== undefined) throw notRunning(NAME)
  }

  async #stop(): Promise<void> {
    for (const forward of this.#forwards.values()) await forward[Symbol.asyncDispose]()
    await this.#qmp[Symbol.asyncDispose]()
  }

  #ended(
    shutdown: boolean,
    end: { resolve: (value: void) => void; reject: (reason: unknown) => void },
  ): void {
    const asked = this.#stopping !== undefined
    this.#stopping ??= Promise.resolve()
    this.#forwards.clear()
    if (asked || shutdown) end.resolve()
    else
      end.reject(
        new SidecarError("crashed", `The network ${NAME} is gone: QEMU hung up on "${this.#options.qmp}"`),
      )
  }
}

function hostSide(rule: ForwardRule): string {
  return `${rule.transport} ${rule.hostAddress}:${rule.hostPort}`
}

/** The same rule without a guest address that says only what is the default. */
function normal(rule: ForwardRule, guest: string): ForwardRule {
  if (rule.guestAddress !== guest) return rule
  const { guestAddress: _default, ...rest } = rule
  return rest
}

/** Whether a promise has settled already. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending")
  const winner = await Promise.race([promise.catch(() => undefined), Promise.resolve(pending)])
  return winner !== pending
}

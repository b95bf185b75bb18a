/**
 * The network sidecar: one network of many machines, with the gateway that serves them.
 *
 * All work on packets is in an engine, mostly a loop thread (`thread/`); here is what a sidecar has beside it: options, locks, files, names by
 * the host, the sockets that take verbs, an end that is told.
 *
 * @module
 */
import { join } from "node:path"
import { type Context, type Sidecar, SidecarError } from "@skep/contract"
import { available, entryOf } from "@skep/loop"
import { Cleanup, type Lock, privateDirectory, tryLock } from "@skep/runtime"
import type { Prefix } from "@skep/wire/address"
import { autoSubnet, checkAgainstRoutes, hostIdentity, hostRoutes } from "./addressing/host.ts"
import type { NetworkPlan } from "./addressing/plan.ts"
import type { Route } from "./addressing/routes.ts"
import { parseSubnet } from "./addressing/subnet.ts"
import { CaptureFiles } from "./capture-files.ts"
import { startPortServer } from "./control/gvproxy/port-server.ts"
import { networkOfLeases } from "./dhcp/lease-file.ts"
import { keepLeases, type LeaseStore, type OpenLeaseStore } from "./dhcp/lease-store.ts"
import { LinkLocks } from "./links/link-locks.ts"
import { serveNames } from "./names/host-names.ts"
import type { StartNameService } from "./names/name-service.ts"
import { Notices } from "./notices.ts"
import {
  AUTO_SUBNET,
  type Driver,
  dnsSocketOf,
  type NetworkOptions,
  parseNetworkOptions,
  planOf,
} from "./options.ts"
import { refusedPath } from "./refused-path.ts"
import { NAME, RunningNetwork } from "./running.ts"
import type { SkepNetworkStatus } from "./status.ts"
import type { NamedAddresses, ThreadData } from "./thread/calls.ts"
import { type Engine, loopEngine, refusalOf, type StartEngine } from "./thread/engine.ts"
import { nodeEngine } from "./thread/node-engine.ts"

/** What a network is put together from. */
export interface NetworkParts {
  /** By driver; one that is not there is "unsupported". */
  readonly engines: Partial<Readonly<Record<Driver, StartEngine>>>
  readonly startNames: StartNameService
  readonly openLeases: OpenLeaseStore
  /** The host's routes, for the check of the subnet. */
  readonly routes: () => readonly Route[]
}

export type NetworkSidecar = Sidecar<NetworkOptions, SkepNetworkStatus, RunningNetwork>

const THREAD = entryOf(import.meta.url, { built: "network-thread", source: "./thread.ts" })
const NODE_THREAD = entryOf(import.meta.url, { built: "network-node-thread", source: "./node-thread.ts" })

export function createNetwork(parts: NetworkParts): NetworkSidecar {
  return {
    name: NAME,
    parseOptions: (input) => parseNetworkOptions(input),
    start: (options, context) => start(parts, options, context),
  }
}

export const network: NetworkSidecar = createNetwork({
  engines: {
    ...(available().available ? { loop: loopEngine(THREAD) } : {}),
    node: nodeEngine(NODE_THREAD),
  },
  startNames: serveNames,
  openLeases: keepLeases,
  routes: hostRoutes,
})

async function start(
  parts: NetworkParts,
  options: NetworkOptions,
  context: Context,
): Promise<RunningNetwork> {
  const { signal, log, emit } = context
  signal.throwIfAborted()
  await using cleanup = new Cleanup()
  const lock = await lockOf(options.directory)
  cleanup.defer(() => lock[Symbol.dispose]())
  const plan = await settle(options, parts.routes(), log)
  let engine: Engine | undefined
  const leases = cleanup.use(
    await parts.openLeases({
      path: options.leaseFile,
      subnet: plan.subnet,
      log,
      // The thread is gone when this fails, and its leases with it.
      onEdits: (edits) => void engine?.call("editLeases", edits).catch(() => undefined),
    }),
  )
  let named: readonly NamedAddresses[] = []
  const names = cleanup.use(
    await parts.startNames({
      plan,
      dns: options.dns,
      socket: dnsSocketOf(options),
      names: () => named,
      policy: options.policy.mode,
      log,
      signal,
    }),
  )
  const locks = new LinkLocks()
  cleanup.defer(() => locks[Symbol.dispose]())
  // The thread is gone when this fails, and its captures with it.
  const captures = cleanup.use(
    new CaptureFiles((written) => void engine?.call("captureWritten", written).catch(() => undefined)),
  )
  const notices = new Notices({
    log,
    emit,
    leases,
    names,
    captures,
    onNames: (now) => {
      named = now
    },
    now: Date.now,
  })
  const driver = chooseDriver(parts, options, log)
  engine = cleanup.use(
    await startEngine(parts, driver, {
      data: threadData(options, plan, leases),
      signal,
      busyPollUs: options.busyPollUs,
      onNotice: (notice) => notices.hear(notice),
    }),
  )
  notices.answerTo(engine)
  const running = new RunningNetwork({
    options,
    driver,
    plan,
    engine,
    names,
    captures,
    locks,
    refusals: notices.refusals,
    counts: () => notices.counts(),
  })
  await furnish(running, options, signal)
  cleanup.use(await startPortServer({ network: running, endpoint: options.portSocket, plan, log }))
  signal.throwIfAborted()
  await running.started()
  signal.throwIfAborted()
  running.own(cleanup.move())
  return running
}

/** What the options ask for from the start. */
async function furnish(running: RunningNetwork, options: NetworkOptions, signal: AbortSignal): Promise<void> {
  for (const link of options.links) {
    await running.addLink(link)
    signal.throwIfAborted()
  }
  for (const rule of options.forwards) {
    await running.forward(rule)
    signal.throwIfAborted()
  }
  if (options.capture !== undefined) await running.startCapture(options.capture)
}

/** Makes the directory the network's own. */
async function lockOf(directory: string): Promise<Lock> {
  let lock: Lock | undefined
  try {
    await privateDirectory(directory)
    lock = tryLock(join(directory, "network.lock"))
  } catch (error) {
    throw refusedPath(
      "use the directory",
      directory,
      error,
      "Choose another directory, for this network alone",
    )
  }
  if (lock !== undefined) return lock
  throw new SidecarError("address-in-use", `Cannot serve a network in "${directory}": another process does`, {
    next: "Stop it, or choose another directory",
  })
}

/** Decides on the addresses. Throws "address-in-use" where the host has routes there. */
async function settle(
  options: NetworkOptions,
  routes: readonly Route[],
  log: Context["log"],
): Promise<NetworkPlan> {
  const ours = options.links.flatMap((link) =>
    link.kind === "tap" && link.netns === undefined ? [link.interface] : [],
  )
  const subnet =
    options.subnet === AUTO_SUBNET
      ? autoSubnet({ routes, ours, log, last: await networkOfLeases(options.leaseFile) })
      : subnetOf(options.subnet)
  const plan = planOf(options, subnet, options.identity ?? hostIdentity(options.name))
  for (const text of [plan.subnet, plan.subnet6]) {
    const block = parseSubnet(text)
    if (block !== undefined) checkAgainstRoutes(block, text, routes, ours)
  }
  return plan
}

function subnetOf(text: string): Prefix {
  const subnet = parseSubnet(text)
  if (subnet === undefined) throw new Error(`options were not parsed: ${text}`)
  return subnet
}

/** The driver that was asked for, else the fastest one there is. */
function chooseDriver({ engines }: NetworkParts, { driver }: NetworkOptions, log: Context["log"]): Driver {
  if (driver !== undefined) {
    log.info("driver", { driver, why: "it was asked for" })
    return driver
  }
  const support = available()
  const isThere = engines.loop !== undefined
  const chosen = isThere || engines.node === undefined ? "loop" : "node"
  const why = isThere
    ? "system calls can be had here"
    : support.available
      ? "there is no loop"
      : support.reason
  log.info("driver", { driver: chosen, why })
  return chosen
}

async function startEngine(
  { engines }: NetworkParts,
  driver: Driver,
  options: Parameters<StartEngine>[0],
): Promise<Engine> {
  const begin = engines[driver]
  if (begin === undefined) {
    throw new SidecarError("unsupported", `Cannot start a network: there is no driver "${driver}" here`, {
      next: "Choose another driver (--driver)",
    })
  }
  try {
    return await begin(options)
  } catch (error) {
    options.signal.throwIfAborted()
    throw refusalOf(error, "start a network")
  }
}

function threadData(options: NetworkOptions, plan: NetworkPlan, leases: LeaseStore): ThreadData {
  return {
    name: options.name,
    plan,
    policy: options.policy,
    reservations: options.reservations,
    search: options.dns.search,
    leases: leases.found,
    remembered: leases.remembered,
    dnsSocket: dnsSocketOf(options),
    lonelyMs: options.lonelyMs,
    limits: options.limits,
  }
}

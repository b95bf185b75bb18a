/**
 * What the backend holds of a running machine: the way to its Docker engine, its network, and the published ports.
 * The same for a machine that was just booted and for one that was found running.
 *
 * @module
 */
import {
  type Log,
  type NetworkRunning,
  type SharesStatus,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { Cleanup, sleep, withDeadline } from "@skep/runtime"
import type { Engine } from "../../docker/engine.ts"
import type { SshAddress } from "../../docker/ssh-connection.ts"
import { connectSshEngine } from "../../docker/ssh-engine.ts"
import { connectOverVsock } from "../../docker/vsock-engine.ts"
import { Ways } from "../../docker/ways.ts"
import type { MachinePaths } from "../../home/paths.ts"
import type { MachineKeys } from "../../machine/keys.ts"
import type { MachineRecord } from "../../machine/record.ts"
import { type Ports, startPorts } from "../../ports/ports.ts"
import type { Report } from "../operation.ts"
import { runPhase, withDetail } from "../phase.ts"
import { EngineKeeper } from "./engine-keeper.ts"
import type { GuestPhases } from "./guest-phases.ts"
import { sshForward } from "./network/forward.ts"
import type { MachineNetwork } from "./network/network.ts"
import { engineAnswers, pingEngine } from "./ping.ts"
import type { MachineShares } from "./shares/machine-shares.ts"
import type { MachineVsock } from "./vsock.ts"

/** Long enough for the launcher to give up: it starts a guest that hangs again after 30 s, three times. */
const LINUX = { name: "linux", title: "Linux in the machine", deadlineMs: 180_000 }
/** What is not there then is told, and may still come: a machine is of use without. */
const SHARES = { name: "shares", title: "Shared directories", deadlineMs: 60_000 }
const DOCKER = { name: "docker", title: "Docker", deadlineMs: 180_000 }
const PORTS = { name: "ports", title: "Published ports", deadlineMs: 30_000 }

const DOCKER_IN_GUEST = "/run/docker.sock"
const PING_MS = 5000
const LOST_POLL_MS = 250
const PING_RETRY_MS = 200

export interface AttachOptions {
  readonly record: MachineRecord
  readonly paths: MachinePaths
  readonly keys: () => Promise<MachineKeys>
  readonly publishAddress: () => Promise<string>
  readonly network: MachineNetwork
  /** Undefined for a machine without one. */
  readonly vsock: MachineVsock | undefined
  /** The same. */
  readonly shares: MachineShares | undefined
  /** Whether what the guest has mounted answers nobody any more, since the keeper was lost. Never rejects. */
  readonly sharesLost: () => Promise<boolean>
  readonly phases: GuestPhases
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  readonly report: Report
  readonly signal: AbortSignal
  /** Told as soon as Docker has answered, before the ports are in place. */
  readonly onEngine: (engine: Engine) => void
}

export interface Attachment extends AsyncDisposable {
  readonly ways: Ways
  readonly network: NetworkRunning
  readonly ports: Ports
  /** Resolves when Docker answers: at once, or after a phase of its own when the guest or its engine has started again. */
  waitForDocker(report: Report, signal: AbortSignal): Promise<void>
}

/** Resolves when Docker answers and the ports are as the containers want them. Disposal leaves the machine running. */
export async function attach(options: AttachOptions): Promise<Attachment> {
  const { record, paths, report, signal, log } = options
  await using cleanup = new Cleanup()
  options.phases.onRestart = (text) => report({ type: "note", text })
  await runPhase(LINUX, report, signal, (limit) => options.phases.wait("ssh", limit))
  const keys = await options.keys()
  await waitForShares(options)
  const ways = cleanup.use(waysOf(options, keys))
  await waitForDocker(ways, report, signal, (limit) => options.phases.wait("docker", limit))
  options.onEngine(ways)
  return await runPhase(PORTS, report, signal, async (limit) => {
    let renewed = (): void => undefined
    const network = cleanup.use(await options.network.attach(limit, () => renewed()))
    network.closed.catch(() => undefined) // the launcher says how the machine ended
    const ports = cleanup.use(
      await startPorts({
        dockerSocket: paths.dockerSocket,
        network,
        bindDefault: await options.publishAddress(),
        loopbackOnly: !options.network.answersOthers,
        reserved: [sshForward(record)],
        log,
        emit: options.emit,
        signal: limit,
      }),
    )
    renewed = () => {
      // Until then the network may be lost again: the next one, or Docker's next event, tries once more.
      ports.reconcile().catch((error: unknown) => log.info("ports not renewed", { reason: String(error) }))
    }
    const owned = cleanup.move()
    return {
      ways,
      network,
      ports,
      waitForDocker: async (again, limitAgain) => {
        if (await engineAnswers(ways, PING_MS)) return
        await waitForDocker(ways, again, limitAgain, () => Promise.resolve())
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  })
}

async function waitForShares({ shares, sharesLost, record, report, signal }: AttachOptions): Promise<void> {
  if (shares === undefined || record.shares?.length === 0) return
  try {
    const settled = await runPhase(SHARES, report, signal, async (limit) => {
      const status = await settledOrLost(shares, sharesLost, limit)
      if (status === undefined) return undefined
      const mounted = status.shares.filter(({ state }) => state === "mounted").length
      report({ type: "detail", phase: SHARES.name, text: `${mounted}, by ${status.protocol}` })
      return status
    })
    if (settled === undefined) {
      const next = `To have them back: skep restart ${record.name}`
      report({ type: "note", text: `the shared directories were lost with the machine's keeper. ${next}` })
      return
    }
    const { shares: states, protocol } = settled
    for (const { target, state, reason = `${protocol} does not say why` } of states) {
      if (state !== "mounted") report({ type: "note", text: `the share ${target} is ${state}: ${reason}` })
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof SidecarError) || error.code !== "timeout") throw error
    report({ type: "note", text: `${error.message}. See skep share ls, and skep logs --source shares` })
  }
}

/** Undefined as soon as it is known that they are lost. */
async function settledOrLost(
  shares: MachineShares,
  isLost: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<SharesStatus | undefined> {
  const decided = new AbortController()
  const limit = AbortSignal.any([signal, decided.signal])
  const lost = async (): Promise<undefined> => {
    while (!(await isLost())) await sleep(LOST_POLL_MS, limit)
    return undefined
  }
  const both = [shares.settled(limit), lost()]
  for (const each of both) each.catch(() => undefined) // the race has its reason
  try {
    return await Promise.race(both)
  } finally {
    decided.abort()
  }
}

/** Waits for the guest's word and then for an answer; a passed deadline tells why there was none. */
async function waitForDocker(
  ways: Ways,
  report: Report,
  signal: AbortSignal,
  announced: (limit: AbortSignal) => Promise<void>,
): Promise<void> {
  let last: unknown
  try {
    await runPhase(DOCKER, report, signal, async (limit) => {
      await announced(limit)
      for (;;) {
        last = await failureOf(
          withDeadline("ping the Docker engine", PING_MS, limit, (one) => pingEngine(ways, one)),
        )
        if (last === undefined) break
        // Whoever answers is not our guest: waiting longer would not help.
        if (last instanceof SidecarError && last.code === "permission-denied") throw last
        await sleep(PING_RETRY_MS, limit)
      }
      if (ways.way !== undefined) report({ type: "detail", phase: DOCKER.name, text: `over ${ways.way}` })
    })
  } catch (error) {
    // That a ping timed out says less than why there is no way to the guest.
    const why = ways.lastError ?? last
    throw why instanceof SidecarError && why !== error ? withDetail(error, [why.message], why.next) : error
  }
}

async function failureOf(work: Promise<void>): Promise<unknown> {
  try {
    await work
    return undefined
  } catch (error) {
    return error
  }
}

function waysOf(options: AttachOptions, keys: MachineKeys): Ways {
  const { vsock, log } = options
  return new Ways({
    log,
    ssh: () => new EngineKeeper((limit) => connectEngine(options, keys, limit), log),
    ...(vsock === undefined ? {} : { vsock: (limit) => connectOverVsock(vsock, limit) }),
  })
}

async function connectEngine(
  { record, log }: AttachOptions,
  keys: MachineKeys,
  signal: AbortSignal,
): ReturnType<typeof connectSshEngine> {
  return await connectSshEngine({ ...sshAddressOf(record, keys), socketPath: DOCKER_IN_GUEST, signal, log })
}

/** The guest's sshd, as the host reaches it. */
export function sshAddressOf(record: MachineRecord, keys: MachineKeys): SshAddress {
  return {
    host: "127.0.0.1",
    port: record.sshPort,
    user: "root",
    privateKey: keys.user.privateKey,
    hostKey: keys.host.publicKey,
  }
}

/**
 * What the backend holds of a running machine: the way to its Docker engine, its network, and the published ports.
 * The same for a machine that was just booted and for one that was found running.
 *
 * @module
 */
import { qemuUser } from "@skep/adapters/qemu-user"
import type { LauncherRunning, Log, NetworkRunning, SidecarEvent } from "@skep/contract"
import { Cleanup, orAborted, sleep } from "@skep/runtime"
import type { EngineState } from "../../docker/engine.ts"
import { connectSshEngine } from "../../docker/ssh-engine.ts"
import type { MachinePaths } from "../../home/paths.ts"
import type { MachineKeys } from "../../machine/keys.ts"
import type { MachineRecord } from "../../machine/record.ts"
import { type Ports, startPorts } from "../../ports/ports.ts"
import type { Report } from "../operation.ts"
import { runPhase, withDetail } from "../phase.ts"
import { EngineKeeper } from "./engine-keeper.ts"
import type { GuestPhases } from "./guest-phases.ts"
import { engineAnswers } from "./ping.ts"

const LINUX = { name: "linux", title: "Linux in the machine", deadlineMs: 180_000 }
const DOCKER = { name: "docker", title: "Docker", deadlineMs: 180_000 }
const PORTS = { name: "ports", title: "Published ports", deadlineMs: 30_000 }

const DOCKER_IN_GUEST = "/run/docker.sock"
const PING_MS = 5000
const PING_RETRY_MS = 200

export interface AttachOptions {
  readonly record: MachineRecord
  readonly paths: MachinePaths
  readonly keys: () => Promise<MachineKeys>
  readonly publishAddress: () => Promise<string>
  readonly launcher: LauncherRunning
  readonly phases: GuestPhases
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  readonly report: Report
  readonly signal: AbortSignal
  /** Told as soon as Docker has answered, before the ports are in place. */
  readonly onEngine: (state: () => EngineState) => void
}

export interface Attachment extends AsyncDisposable {
  readonly network: NetworkRunning
  readonly ports: Ports
  /** Resolves when Docker answers: at once, or after a phase of its own when the guest or its engine has started again. */
  waitForDocker(report: Report, signal: AbortSignal): Promise<void>
}

/** Resolves when Docker answers and the ports are as the containers want them. Disposal leaves the machine running. */
export async function attach(options: AttachOptions): Promise<Attachment> {
  const { record, paths, report, signal, log } = options
  await using cleanup = new Cleanup()
  await runPhase(LINUX, report, signal, (limit) => options.phases.wait("ssh", limit))
  const keys = await options.keys()
  const keeper = cleanup.use(new EngineKeeper((limit) => connectEngine(options, keys, limit), log))
  await waitForDocker(keeper, report, signal, (limit) => options.phases.wait("docker", limit))
  options.onEngine(() => keeper.state())
  return await runPhase(PORTS, report, signal, async (limit) => {
    const network = cleanup.use(
      await qemuUser.start(qemuUser.parseOptions({ qmp: paths.networkMonitor }), {
        signal: limit,
        log,
        emit: options.emit,
      }),
    )
    network.closed.catch(() => undefined) // the launcher says how the machine ended
    const ports = cleanup.use(
      await startPorts({
        dockerSocket: paths.dockerSocket,
        network,
        bindDefault: await options.publishAddress(),
        // QEMU's `restrict=on` drops what is for addresses outside of its own network.
        loopbackOnly: record.networkPolicy === "restricted",
        reserved: [{ transport: "tcp", hostAddress: "127.0.0.1", hostPort: record.sshPort, guestPort: 22 }],
        log,
        emit: options.emit,
        signal: limit,
      }),
    )
    const owned = cleanup.move()
    return {
      network,
      ports,
      waitForDocker: async (again, limitAgain) => {
        const state = keeper.state()
        if (state.state === "up" && (await engineAnswers(state.engine, PING_MS))) return
        await waitForDocker(keeper, again, limitAgain, () => Promise.resolve())
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    }
  })
}

/** Waits for the guest's word and then for an answer; a passed deadline tells why there was none. */
async function waitForDocker(
  keeper: EngineKeeper,
  report: Report,
  signal: AbortSignal,
  announced: (limit: AbortSignal) => Promise<void>,
): Promise<void> {
  try {
    await runPhase(DOCKER, report, signal, async (limit) => {
      await announced(limit)
      while (!(await engineAnswers(await orAborted(keeper.ready(), limit), PING_MS))) {
        await sleep(PING_RETRY_MS, limit)
      }
    })
  } catch (error) {
    const last = keeper.lastError
    throw last === undefined || last === error ? error : withDetail(error, [last.message], last.next)
  }
}

async function connectEngine(
  options: AttachOptions,
  keys: MachineKeys,
  signal: AbortSignal,
): ReturnType<typeof connectSshEngine> {
  return await connectSshEngine({
    host: "127.0.0.1",
    port: options.record.sshPort,
    user: "root",
    privateKey: keys.user.privateKey,
    hostKey: keys.host.publicKey,
    socketPath: DOCKER_IN_GUEST,
    signal,
    log: options.log,
  })
}

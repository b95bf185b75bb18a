/**
 * The launcher role: one virtual machine under a hypervisor.
 *
 * `start` resolves when the hypervisor runs and the guest has printed its first line, so the accelerator is proven.
 * `closed` fulfils when the guest powered itself off or was stopped, and rejects with "crashed" when the hypervisor
 * died by itself.
 *
 * @module
 */
import type { Counters, Identity, Running } from "./sidecar.ts"

/** Where the machine stands, from the hypervisor and its process; never from whether the guest answers. */
export type MachineState = "starting" | "running" | "paused" | "stopping" | "stopped" | "crashed"

/** What executes the guest's instructions. */
export type Accelerator = "kvm" | "hvf" | "tcg"

/** A milestone that the guest reported on its console. */
export interface GuestPhase {
  readonly name: string
  /** Seconds since the hypervisor process started, by the host's clock. */
  readonly atSeconds: number
}

/** A device whose back end is another program, behind the launcher's keeper. */
export interface DeviceStatus {
  readonly name: string
  /**
   * "waiting": neither side is there yet. "relaying": all is well. "standing-in" and "replaying": its back end is gone, and another is told
   * what it has to know. "unkept": the keeper is gone and another one is being started, or it does not answer. "lost": the other one is
   * there, and the device works again when the guest's driver starts it anew.
   */
  readonly state: "waiting" | "relaying" | "standing-in" | "replaying" | "unkept" | "lost"
  /** Whether the guest's driver uses it. */
  readonly runs: boolean
}

/** What the machine's NIC is, and who is at its other end. */
export interface NicStatus {
  /** "qemu-user": QEMU itself. "vhost-user" and "stream": another program. */
  readonly kind: "qemu-user" | "vhost-user" | "stream"
  readonly mac: string
  /** The name that the machine's description has for the program. */
  readonly provider?: string
  /** Of a stream: whether the program is there. How a vhost-user back end is says the device "net". */
  readonly joined?: boolean
}

export interface LauncherStatus {
  readonly state: MachineState
  /** Why the state is "crashed", or why a fallback was taken. */
  readonly reason?: string
  readonly hypervisor: string
  readonly accelerator: Accelerator
  /** The hypervisor's process. */
  readonly process: Identity
  /** Whether this launcher took over a machine that ran; false for one that it booted. */
  readonly adopted: boolean
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly devices: readonly DeviceStatus[]
  /** Undefined for a machine that an earlier build started. */
  readonly network?: NicStatus
  readonly phases: readonly GuestPhase[]
  readonly consoleLog: string
  readonly counters: Counters
}

export interface LauncherRunning extends Running<LauncherStatus> {
  /** Asks the guest to power off and resolves when the machine is gone; after `deadlineMs` rejects with "timeout". */
  powerdown(deadlineMs: number): Promise<void>
  /** Ends the hypervisor at once, as pulling the plug does. */
  kill(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * Joins a network that is a stream anew, as the launcher does by itself when the stream is lost. Rejects with "unreachable" where nobody
   * listens yet, and goes on trying; "unsupported" for other networks.
   */
  reconnectNetwork(): Promise<void>
}

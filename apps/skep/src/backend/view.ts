/**
 * What the backend tells about a machine: the answer of `GET /machines/NAME`, and what `--json` prints.
 *
 * @module
 */
import type { ErrorBody, LauncherStatus, MachineState } from "@skep/contract"
import type { Way } from "../docker/ways.ts"
import type { MachineRecord } from "../machine/record.ts"
import type { PortsStatus } from "../ports/ports.ts"
import type { SharesView } from "./shares.ts"
import type { GuestView } from "./vm/guest-agent.ts"

export interface MachineView {
  readonly name: string
  readonly state: MachineState | "broken"
  /** Whether $SKEP_RUN/docker.sock leads to it. */
  readonly active: boolean
  readonly docker: "up" | "starting" | "down"
  readonly problem?: ErrorBody
  readonly record?: MachineRecord
  readonly vm?: LauncherStatus
  /** Bytes that the data disk really takes on the host. */
  readonly diskBytes: number
  readonly dockerSocket: string
  readonly directory: string
  readonly consoleLog: string
  readonly ports?: PortsStatus
  /** How Docker was reached last. */
  readonly way?: Way
  readonly guest?: GuestView
  readonly shares?: SharesView
}

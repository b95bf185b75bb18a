/**
 * What starting and adopting a machine share.
 *
 * @module
 */
import type { Context } from "@skep/contract"
import type { ConsoleHub } from "../console/hub.ts"
import type { LauncherOptions } from "../description.ts"
import type { StreamLink } from "../network/stream-link.ts"
import type { MachinePaths } from "../paths.ts"
import type { ProcessLog } from "./process-log.ts"

export interface Environment {
  readonly options: LauncherOptions
  readonly paths: MachinePaths
  readonly context: Context
  readonly console: ConsoleHub
  readonly log: ProcessLog
  /** For a machine whose network is a stream. */
  readonly link: StreamLink | undefined
}

/**
 * The adapter in a process of its own, which outlives the one that starts it.
 *
 * @module
 */
import type { NetworkStatus, Sidecar } from "@skep/contract"
import { type AdapterCommand, adapterProcess, type RemoteAdapter } from "../host-side/process.ts"
import { type PasstOptions, parsePasstOptions } from "./options.ts"

export { adoptAdapter as adoptPasst, controlSocketOf } from "../host-side/process.ts"
export type { PasstOptions, PasstPolicy } from "./options.ts"

export function passtProcess(
  command: AdapterCommand<PasstOptions>,
): Sidecar<PasstOptions, NetworkStatus, RemoteAdapter> {
  return adapterProcess("passt", parsePasstOptions, command)
}

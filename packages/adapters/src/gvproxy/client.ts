/**
 * The adapter in a process of its own, which outlives the one that starts it.
 *
 * @module
 */
import type { NetworkStatus, Sidecar } from "@skep/contract"
import { type AdapterCommand, adapterProcess, type RemoteAdapter } from "../host-side/process.ts"
import { type GvproxyOptions, parseGvproxyOptions } from "./options.ts"

export { adoptAdapter as adoptGvproxy } from "../host-side/process.ts"
export { GUEST, HOST } from "./command-line.ts"
export type { GvproxyOptions } from "./options.ts"

export function gvproxyProcess(
  command: AdapterCommand<GvproxyOptions>,
): Sidecar<GvproxyOptions, NetworkStatus, RemoteAdapter> {
  return adapterProcess("gvproxy", parseGvproxyOptions, command)
}

/**
 * The sidecar with the stand-in for its thread, and machines that speak to it.
 *
 * @module
 */
import { openClient } from "@skep/testkit"
import { networkProcess } from "../src/client.ts"
import { keepLeases } from "../src/dhcp/lease-store.ts"
import { serveNames } from "../src/names/host-names.ts"
import { createNetwork, type NetworkSidecar } from "../src/network.ts"
import { loopEngine } from "../src/thread/engine.ts"
import type { Bundle } from "./bundle.ts"

/** In this process. */
export function standInOf(thread: URL): NetworkSidecar {
  return createNetwork({
    engines: { loop: loopEngine(thread) },
    startNames: serveNames,
    openLeases: keepLeases,
    routes: () => [],
  })
}

/** In a process of its own, which ends with this one unless told. */
export function standInProcess({ file }: Bundle, endWithParent = true): ReturnType<typeof networkProcess> {
  return networkProcess({ file: process.execPath, args: [file], endWithParent })
}

/** A machine on a link's socket. Disposing it hangs up. */
export const machineOn: typeof openClient = openClient

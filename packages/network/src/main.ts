/**
 * `skep-network`: the sidecar as a program.
 *
 * @module
 */
import { network } from "./network.ts"
import { runNetwork } from "./program.ts"

await runNetwork(network)

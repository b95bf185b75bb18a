/**
 * The thread on Node's sockets, with a bug that a test can bring about: a file in the network's directory.
 *
 * @module
 */
import { watch } from "node:fs"
import { dirname } from "node:path"
import { workerData } from "node:worker_threads"

await import("../../src/node-thread.ts")

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only the engine starts this
const { data } = workerData as { readonly data: { readonly dnsSocket: string } }
watch(dirname(data.dnsSocket), (_event, name) => {
  if (name === "crash") throw new Error("asked to crash")
})

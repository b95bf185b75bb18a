/**
 * The janitor of leases in a namespace: sweeps a lease file again and again, as fast as it can, and says what it took back. Ends with its input.
 *
 * Words: the lease file, and a home directory whose machines have addresses.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises"
import { testContext } from "@skep/contract-tests"
import { leasesSidecar } from "@skep/leases/janitor"

const PAUSE_MS = 20

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const [path = "", home = ""] = process.argv.slice(2)
const sidecar = leasesSidecar()
const options = sidecar.parseOptions({ path, format: "dnsmasq", homes: [home], everyMs: 0 })
const janitor = await sidecar.start(options, testContext())
process.stdin.on("end", () => process.exit(0)).resume()
say({ ready: true })
for (;;) {
  try {
    const { removed } = await janitor.sweep({ stale: true })
    for (const { address, mac } of removed) say({ address, mac })
  } catch (error) {
    say({ error: String(error) })
  }
  await delay(PAUSE_MS)
}

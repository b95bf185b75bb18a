/**
 * What the network answers for by itself.
 *
 * @module
 */
import type { SkepNetwork } from "../src/verbs.ts"

/** Names of its own, and an address of each. */
export async function ownNames(network: SkepNetwork): Promise<Readonly<Record<string, string>>> {
  const { plan } = await network.status()
  return {
    "host.docker.internal": plan.host,
    "gateway.docker.internal": plan.gateway,
    "host.skep.internal": plan.host,
  }
}

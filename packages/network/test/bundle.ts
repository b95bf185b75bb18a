/**
 * The network and its stand-in, bundled.
 *
 * @module
 */
import { pathToFileURL } from "node:url"
import { bundle } from "@skep/testkit/bundle"

export interface Bundle extends Disposable {
  /** The program. */
  readonly file: string
  /** Its thread alone. */
  readonly thread: URL
}

/** The stand-in. */
export async function bundleStandIn(): Promise<Bundle> {
  return await bundleOf({ "stand-in": "stand-in-main.ts", "stand-in-thread": "stand-in-thread.ts" })
}

/** The network itself, likewise. */
export async function bundleNetwork(): Promise<Bundle> {
  return await bundleOf({ network: "../src/main.ts", "network-thread": "../src/thread.ts" })
}

/** The network itself, whose thread on Node's sockets crashes when it is asked to (`drivers/crashing-thread.ts`). */
export async function bundleNodeNetwork(): Promise<Bundle> {
  return await bundleOf({
    network: "../src/main.ts",
    "crashing-thread": "drivers/crashing-thread.ts",
    "network-node-thread": "../src/node-thread.ts",
  })
}

async function bundleOf(entryPoints: Readonly<Record<string, string>>): Promise<Bundle> {
  const [main, thread] = Object.keys(entryPoints)
  const made = await bundle(entryPoints, { from: import.meta.dirname })
  return {
    file: made.at(`${main}.js`),
    thread: pathToFileURL(made.at(`${thread}.js`)),
    [Symbol.dispose]: () => made[Symbol.dispose](),
  }
}

/**
 * The sidecar as the program that ships.
 *
 * @module
 */
import { join } from "node:path"
import { type Bundle, bundle } from "@skep/testkit/bundle"

const PACKAGE = join(import.meta.dirname, "../..")

/** `file` is the program. */
export async function bundleProgram(): Promise<Bundle & { readonly file: string }> {
  const made = await bundle({ vsock: "src/main.ts", "vsock-thread": "src/thread.ts" }, { from: PACKAGE })
  return { ...made, file: made.at("vsock.js") }
}

#!/usr/bin/env node
// Runs the built program, and says what to do when there is none.
import { existsSync } from "node:fs"

const build = new URL("../../../apps/skep/dist/programs/gvproxy.js", import.meta.url)
if (existsSync(build)) {
  await import(build.href)
} else {
  process.stderr.write("skep-gvproxy: it is not built yet. Next: run npm run build in the checkout\n")
  process.exitCode = 1
}

#!/usr/bin/env node
// The installed command: runs the build of apps/skep, and says what to do when there is none.
import { existsSync } from "node:fs"

const build = new URL("../dist/programs/skep.js", import.meta.url)
if (existsSync(build)) {
  await import(build.href)
} else {
  process.stderr.write("skep: it is not built yet. Next: run npm start (or npm run build) in the checkout\n")
  process.exitCode = 1
}

// What the commands in the packages' bin/ run: programs of the build. Plain JavaScript, since there may be no build yet.
import { existsSync } from "node:fs"

/** Runs the program of a command, or says what to do where there is no build. */
export async function runBuilt(command) {
  const program = command.replace(/^skep-/, "")
  const file = new URL(`../../../apps/skep/dist/programs/${program}.js`, import.meta.url)
  if (existsSync(file)) {
    await import(file.href)
    return
  }
  process.stderr.write(`${command}: it is not built yet. Next: run npm run build in the checkout\n`)
  process.exitCode = 1
}

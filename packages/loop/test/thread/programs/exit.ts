/**
 * A program with a loop thread that ends in the way its argument says. Its loop writes "disposed" to stderr when it ends orderly.
 *
 * @module
 */
import { Worker } from "node:worker_threads"
import { startLoop } from "@skep/loop"
import type { Idle } from "./idle.ts"

const source = import.meta.url.endsWith(".ts")
const entry = new URL(source ? "./idle.ts" : "./idle.js", import.meta.url)
const [, , mode = ""] = process.argv

if (mode === "nested terminate" || mode === "nested exit") await nested()
else if (mode === "during start") {
  setImmediate(() => process.exit(5))
  await startLoop<Idle>(entry)
} else await end()

async function end(): Promise<void> {
  const thread = await startLoop<Idle>(entry)
  await thread.call("ping", undefined)
  switch (mode) {
    case "process.exit":
      process.exit(5)
      break
    case "uncaught exception":
      setImmediate(() => {
        throw new Error("nobody catches this")
      })
      break
    case "unhandled rejection":
      void Promise.reject(new Error("nobody handles this"))
      break
    case "nothing left to do":
      thread.unref()
      break
    case "stop":
      await thread.stop()
      break
    case "many": {
      await Promise.all(Array.from({ length: 12 }, () => startLoop<Idle>(entry)))
      process.exit(5)
      break
    }
    case "kept alive":
      setImmediate(() => {
        // The thread alone keeps the process: only this call ends it.
        void thread.call("stop", undefined).catch(() => undefined)
      })
      break
    case "signal":
      process.stdout.write("ready\n")
      break
    case "spawn": {
      const { spawnSync } = await import("node:child_process")
      await thread.call("open", undefined)
      const listing = "import{readdirSync as r,readlinkSync as l}from'node:fs';"
      const script = `${listing}for(const f of r('/proc/self/fd'))try{console.log(l('/proc/self/fd/'+f))}catch{}`
      const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
      process.stdout.write(child.stdout)
      await thread.stop()
      break
    }
    default:
      throw new Error(`no such way to end: ${mode}`)
  }
}

/** A loop thread of a worker, which its owner terminates, or which exits by itself. */
async function nested(): Promise<void> {
  const code = `
    import { startLoop } from ${JSON.stringify(new URL("./loop.js", import.meta.url).href)}
    import { parentPort } from "node:worker_threads"
    await startLoop(new URL(${JSON.stringify(entry.href)}))
    parentPort.postMessage("started")
    if (${mode === "nested exit"}) process.exit(5)`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
  await new Promise((resolve) => {
    worker.once("message", resolve)
  })
  if (mode === "nested terminate") await worker.terminate()
  else
    await new Promise((resolve) => {
      worker.once("exit", resolve)
    })
  process.exit(5)
}

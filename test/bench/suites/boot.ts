/**
 * From a stopped machine to `/_ping`: `skep up` beside a bare QEMU with the same guest, alternated in one run.
 *
 * The bare peer is the launcher's own command line without Skep: same kernel, root, size and accelerator, its own disk and seed. Its
 * engine is reached through socat on a forwarded port, started by `boot.local` as the guest starts.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, rmSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { freePort } from "../../../apps/skep/src/machine/port.ts"
import { prepareBare } from "../../vm/bare-qemu.ts"
import { type BenchHome, benchHome, MACHINE } from "../home.ts"
import { alternate, type Row, rowOf } from "../row.ts"

const ROUNDS = 5
const MEMORY_MIB = 1024
const POLL_MS = 20
/** A connection made before the guest listens waits for a retransmission; a new one finds out sooner. */
const PING_MS = 250
const DEADLINE_MS = 120_000
const BAR = 1.15
const ENGINE_PORT = 2375

export async function boot(progress: (text: string) => void): Promise<readonly Row[]> {
  const home = benchHome()
  await home.skep(
    "up",
    MACHINE,
    "--network",
    "restricted",
    "--memory",
    `${MEMORY_MIB}m`,
    "--cpus",
    "2",
    "--disk",
    "4g",
  )
  await home.skep("stop", MACHINE)
  const bare = await bareIn(home)
  try {
    const samples = await alternate(ROUNDS, { ours: () => ourBoot(home), "bare QEMU": bare }, progress)
    return [
      rowOf({
        suite: "boot",
        name: "skep up until /_ping",
        unit: "s",
        better: "lower",
        ours: samples.ours,
        peers: { "bare QEMU": samples["bare QEMU"] },
        bar: BAR,
      }),
    ]
  } finally {
    await home.skep("rm", "--force", MACHINE)
    rmSync(join(home.directory, "bare"), { recursive: true, force: true })
  }
}

async function ourBoot(home: BenchHome): Promise<number> {
  const began = performance.now()
  const up = home.skep("up", MACHINE)
  await answers({ socketPath: join(home.directory, "r", MACHINE, "docker.sock") })
  const seconds = (performance.now() - began) / 1000
  await up
  await home.skep("stop", MACHINE)
  return seconds
}

/** Boots once to format the disk as ours was, and returns what boots it again. */
async function bareIn(home: BenchHome): Promise<() => Promise<number>> {
  const directory = join(home.directory, "bare")
  const port = await freePort()
  const argv = await prepareBare({
    directory,
    images: join(home.directory, "images"),
    accelerator: await acceleratorOf(home),
    memoryMiB: MEMORY_MIB,
    bootLocal: `#!/bin/sh\nexec socat TCP-LISTEN:${ENGINE_PORT},fork,reuseaddr UNIX-CONNECT:/run/docker.sock\n`,
    forwards: [{ transport: "tcp", hostAddress: "127.0.0.1", hostPort: port, guestPort: ENGINE_PORT }],
  })
  const run = (): Promise<number> => bareBoot(argv, port, join(directory, "qemu.log"))
  await run()
  return run
}

/** The verdict of our own start in this home. */
async function acceleratorOf(home: BenchHome): Promise<"kvm" | "tcg"> {
  await home.skep("up", MACHINE)
  const view = JSON.parse(await home.skep("inspect", MACHINE)) as { vm: { accelerator: "kvm" | "tcg" } }
  await home.skep("stop", MACHINE)
  return view.vm.accelerator
}

async function bareBoot(argv: readonly string[], port: number, log: string): Promise<number> {
  const began = performance.now()
  const qemu = spawn("qemu-system-x86_64", argv, { stdio: ["ignore", "ignore", "pipe"] })
  qemu.stderr.pipe(createWriteStream(log))
  const exited = once(qemu, "exit")
  await answers({ host: "127.0.0.1", port })
  const seconds = (performance.now() - began) / 1000
  qemu.kill("SIGTERM")
  await exited
  return seconds
}

/** Resolves when `/_ping` there answers 200; throws if anyone but Docker does. */
async function answers(where: { socketPath: string } | { host: string; port: number }): Promise<void> {
  const end = Date.now() + DEADLINE_MS
  while (Date.now() < end) {
    const { status, body } = await new Promise<{ status: number; body: string }>((resolve) => {
      const nobody = { status: 0, body: "" }
      const ping = request(
        { ...where, path: "/_ping", timeout: PING_MS, headers: { connection: "close" } },
        (response) => {
          let text = ""
          response.setEncoding("utf8")
          response.on("data", (chunk: string) => (text += chunk))
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }))
          response.on("error", () => resolve(nobody))
        },
      )
      ping.on("timeout", () => ping.destroy())
      ping.on("error", () => resolve(nobody))
      ping.end()
    })
    if (status === 200) {
      if (body !== "OK") throw new Error(`/_ping answered ${JSON.stringify(body)}`)
      return
    }
    await delay(POLL_MS)
  }
  throw new Error(`the engine did not answer within ${DEADLINE_MS / 1000} s`)
}

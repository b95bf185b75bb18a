/**
 * What passt lets a guest reach, in a world of its own: a host with a neighbour, both network namespaces, and nothing beyond.
 *
 * ```
 *   [ guest ] ── stream ── passt in [ host 198.51.100.1, lo ] ── veth ── [ neighbour 198.51.100.9 ]
 * ```
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, writeFileSync } from "node:fs"
import { namespaceGuest, namespaceGuestUnavailable } from "@skep/contract-tests"
import { Cleanup } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { passtArguments } from "../../src/passt/command-line.ts"
import { type PasstPolicy, parsePasstOptions } from "../../src/passt/options.ts"
import { boundName, logFileOf, startPasst } from "../../src/passt/program.ts"
import { passtUnavailable } from "./available.ts"

const rootless = process.getuid?.() === 0 ? undefined : "it needs root"
const unavailable = passtUnavailable() ?? namespaceGuestUnavailable() ?? rootless
const MAC = "52:54:00:00:00:07"
const PORT = 4100
const NEIGHBOUR = "198.51.100.9"
const HOST = "198.51.100.1"

interface Inside extends AsyncDisposable {
  readonly pid: number
  readonly heard: () => string
}

/** Runs a line that goes on, in a network namespace of its own or in that of `pid`, until it is disposed. Resolves when it has said `ready`. */
async function run(line: string, ready: string, pid?: number): Promise<Inside> {
  const [program, ...words] = pid === undefined ? ["unshare", "--net"] : enter(pid)
  const child = spawn(program ?? "", [...words, "sh", "-c", line], { stdio: ["ignore", "pipe", "pipe"] })
  let text = ""
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString()
        if (text.includes(ready)) resolve()
      })
    child.once("exit", () => reject(new Error(`"${line}" ended: ${text}`)))
  })
  return {
    pid: child.pid ?? 0,
    heard: () => text,
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit")
      child.kill("SIGKILL")
      await gone
    },
  }
}

function enter(pid: number): readonly string[] {
  return ["nsenter", "--net", "--target", String(pid)]
}

function ip(pid: number, line: string): void {
  const [program = "", ...words] = enter(pid)
  execFileSync(program, [...words, "ip", ...line.split(" ")])
}

/** The world, and a guest whose passt has this policy. */
async function open(policy: PasstPolicy) {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const forEver = "ip link set lo up && echo ready && exec sleep 300"
  const host = cleanup.use(await run(forEver, "ready"))
  const neighbour = cleanup.use(await run(forEver, "ready"))
  ip(host.pid, `link add near type veth peer name far netns ${neighbour.pid}`)
  for (const [{ pid }, device, address] of [
    [host, "near", HOST] as const,
    [neighbour, "far", NEIGHBOUR] as const,
  ]) {
    ip(pid, `addr add ${address}/24 dev ${device}`)
    ip(pid, `link set ${device} up`)
    ip(pid, `route add default dev ${device}`)
  }
  const listen = `exec socat -d -d -u TCP-LISTEN:${PORT},fork,reuseaddr STDOUT`
  const tcp = cleanup.use(await run(listen, "listening on", neighbour.pid))
  const udp = cleanup.use(
    await run(`exec socat -d -d -u UDP-RECV:${PORT} STDOUT`, "starting data transfer", neighbour.pid),
  )
  cleanup.use(
    await run(
      `exec socat -d -d TCP-LISTEN:${PORT},bind=127.0.0.1,fork,reuseaddr EXEC:"echo the host"`,
      "listening on",
      host.pid,
    ),
  )
  const socket = directory.at("net.sock")
  const program = directory.at("passt")
  writeFileSync(program, `#!/bin/sh\nexec ${enter(host.pid).join(" ")} passt "$@"\n`)
  chmodSync(program, 0o755)
  const options = parsePasstOptions({ socket, policy, mac: MAC })
  const { address, gateway } = options
  const args = passtArguments({
    options,
    bound: boundName(socket),
    logFile: logFileOf(socket),
    forwards: [],
    user: { uid: 0, gid: 0 },
  })
  const signal = new AbortController().signal
  const introduction = { mac: MAC, address, gateway }
  cleanup.use(await startPasst({ program, args, socket, signal, introduction, onLine: () => undefined }))
  const guest = cleanup.use(await namespaceGuest({ socket, mac: MAC }))
  await guest.lease()
  const owned = cleanup.move()
  return { guest, tcp, udp, gateway, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

/** Whatever answers is answered at once here: who waits so long waits in vain. */
const TCP = `socat -u - TCP:${NEIGHBOUR}:${PORT},connect-timeout=2`
const UDP = `socat -u - UDP:${NEIGHBOUR}:${PORT}`

describe.skipIf(unavailable !== undefined)(
  `the policy of passt${unavailable === undefined ? "" : ` (${unavailable})`}`,
  () => {
    it("open: the guest reaches the host's neighbour", async () => {
      await using world = await open("open")
      await world.guest.run(`echo by stream | ${TCP}; echo by datagram | ${UDP}`)
      await expect.poll(world.tcp.heard).toContain("by stream")
      await expect.poll(world.udp.heard).toContain("by datagram")
    })

    it("loopback: the guest reaches the host, and nothing beyond it", async () => {
      await using world = await open("loopback")
      const { guest, gateway } = world
      await guest.run(`for i in 1 2 3; do echo by stream | ${TCP}; echo by datagram | ${UDP}; done`)
      const ping = await guest.run(`ping -c 2 -W 1 ${NEIGHBOUR}`)
      expect(ping.stdout).toContain("0 received")
      // Asked last: what was sent before has arrived by now, if it does.
      const asked = await guest.run(`socat -u TCP:${gateway}:${PORT} -`)
      expect(asked.stdout).toBe("the host\n")
      expect(world.tcp.heard()).not.toContain("accepting connection")
      expect(world.udp.heard()).not.toContain("by datagram")
    })
  },
)

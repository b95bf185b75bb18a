// A Linux kernel in a namespace of its own, by TAP: traffic under capture and faults that are put in and taken out while it runs.

import { spawn, spawnSync } from "node:child_process"
import { openSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { monotonic } from "@skep/loop"
import { expect, it } from "vitest"
import { missing } from "../dhcp/interop/guest.ts"
import { PLAN, type Rig, rig } from "./rig.ts"

const absent = missing(["ping", "tshark"])
if (absent !== undefined) process.stdout.write(`no kernel judges captures and faults: ${absent}\n`)

const NAME = `skep-live-${process.pid}`

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`)
}

/** Runs a program in the namespace while the loop goes round; `timeout` ends it in any case. Returns its output. */
async function within(it: Rig, ...command: readonly string[]): Promise<string> {
  const child = spawn("ip", ["netns", "exec", NAME, "timeout", "30", ...command])
  const out: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  const state = { over: false }
  child.once("close", () => {
    state.over = true
  })
  while (!state.over) {
    it.loop.step()
    await setImmediate()
  }
  return Buffer.concat(out).toString()
}

it.skipIf(absent !== undefined)(
  "a kernel's traffic is captured, made worse and made good again",
  async () => {
    ip("netns", "add", NAME)
    try {
      using here = rig({}, monotonic)
      here.network.addLink({ kind: "tap", machine: "box", interface: "tap0", netns: `/run/netns/${NAME}` })
      ip("-n", NAME, "addr", "add", "192.168.64.5/24", "dev", "tap0")
      ip("-n", NAME, "-6", "addr", "add", `${PLAN.gateway6.replace(/1$/, "5")}/64`, "dev", "tap0", "nodad")
      const path = join(here.directory, "box.pcapng")
      here.network.captures.start({
        file: openSync(path, "w"),
        path,
        machine: "box",
        maxBytes: 1 << 22,
        snapLength: 1 << 18,
      })
      const ping = (to: string, ...more: readonly string[]): Promise<string> =>
        within(here, "ping", "-n", "-c", "20", "-i", "0.01", "-W", "10", ...more, to)
      expect(await ping(PLAN.gateway)).toContain("20 received")
      here.network.setFaults({ loss: 1 }, "box")
      expect(await ping(PLAN.gateway, "-W", "1")).toContain(" 0 received")
      here.network.setFaults({ duplicate: 1, delayMs: 20, jitterMs: 5, seed: 1 }, "box")
      const doubled = await ping(PLAN.gateway)
      expect(doubled).toContain("20 received")
      expect(doubled).toMatch(/\+[3-6]\d duplicates/)
      expect(Number(/min\/avg\/max\/mdev = ([\d.]+)/.exec(doubled)?.[1])).toBeGreaterThan(40)
      here.network.setFaults(undefined, "box")
      expect(await ping(PLAN.gateway, "-s", "9000")).toContain("20 received")
      expect(await ping(PLAN.gateway6)).toContain("20 received")
      const status = here.network.captures.stop("box")
      const tshark = (...args: readonly string[]): string =>
        spawnSync("tshark", ["-r", path, "-o", "ip.check_checksum:TRUE", ...args], { encoding: "utf8" })
          .stdout
      const bad =
        "icmp.checksum.status==Bad||icmpv6.checksum.status==Bad||ip.checksum.status==Bad||_ws.malformed"
      expect(tshark("-Y", bad)).toBe("")
      expect(tshark("-T", "fields", "-e", "frame.number").trim().split("\n")).toHaveLength(status.frames)
      // What the machine sent, the lost and the doubled ones once each.
      expect(
        tshark("-Y", "icmp.type==8 && ip.flags.mf==0", "-T", "fields", "-e", "icmp.seq").trim().split("\n"),
      ).toHaveLength(80)
    } finally {
      ip("netns", "del", NAME)
    }
  },
)

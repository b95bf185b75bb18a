// Captures and faults of machines that run.

import { spawnSync } from "node:child_process"
import { openSync, statSync } from "node:fs"
import { join } from "node:path"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { datagram, hear, IPV4, icmp } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"
const ECHO = 8

const tshark = spawnSync("tshark", ["--version"]).status === 0
if (!tshark) process.stdout.write("captures are not judged: tshark is not installed\n")

/** What came of ICMP over IPv4, so that no timer of the gateway's is in it. */
const echoes = (machine: Machine) =>
  machine
    .take()
    .map(hear)
    .filter(({ protocol }) => protocol === 1)

/** Pings the gateway. Returns how many answers came. */
function ping(it: Rig, machine: Machine, count = 1): number {
  for (let each = 0; each < count; each++) machine.send(IPV4, icmp(GUEST, PLAN.gateway, ECHO, each))
  it.settle()
  return echoes(machine).length
}

function judged(path: string, ...args: readonly string[]): readonly string[] {
  const checks = ["tcp", "ip", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`])
  const { stdout } = spawnSync("tshark", ["-r", path, ...checks, ...args], { encoding: "utf8" })
  return stdout.split("\n").filter((line) => line !== "")
}

const spec = (path: string, more: object = {}) => ({
  file: openSync(path, "w", 0o600),
  path,
  maxBytes: 1 << 20,
  snapLength: 1 << 18,
  ...more,
})

describe("a capture", () => {
  it.skipIf(!tshark)("of all has the frames of machines that come later, and is clean", () => {
    using it = rig()
    const path = join(it.directory, "all.pcapng")
    const web = it.machine("web")
    ping(it, web)
    it.network.captures.start(spec(path))
    ping(it, web, 2)
    const db = it.machine("db")
    ping(it, db)
    const status = it.network.captures.stop(undefined)
    ping(it, web)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(status).toMatchObject({ path, bytes: statSync(path).size })
    const lines = judged(path, "-Y", "icmp", "-T", "fields", "-e", "frame.interface_name", "-e", "icmp.type")
    expect(lines.toSorted()).toEqual(["db\t0", "db\t8", "web\t0", "web\t0", "web\t8", "web\t8"])
    const bad = "tcp.checksum.status==Bad||udp.checksum.status==Bad||ip.checksum.status==Bad||_ws.malformed"
    expect(judged(path, "-Y", bad)).toEqual([])
    expect(judged(path)).toHaveLength(status.frames)
  })

  it("of one machine runs beside that of all, and each is told of", async () => {
    using it = rig()
    const [one, all] = [join(it.directory, "one"), join(it.directory, "all")]
    const [web, db] = [it.machine("web"), it.machine("db")]
    it.network.captures.start(spec(one, { machine: "web" }))
    it.network.captures.start(spec(all))
    expect(() => it.network.captures.start(spec(all))).toThrow(expect.objectContaining({ code: "busy" }))
    expect(() => it.network.captures.start(spec(one, { machine: "web" }))).toThrow(
      expect.objectContaining({ code: "busy" }),
    )
    expect(() => it.network.captures.start(spec(one, { machine: "no" }))).toThrow(
      expect.objectContaining({ code: "not-found" }),
    )
    ping(it, web)
    ping(it, db)
    const { statusOf } = await import("../../src/gateway/report.ts")
    const status = statusOf(it.network)
    expect(status.capture).toMatchObject({ path: all, frames: 4 })
    expect(status.machines.map(({ capture }) => capture?.frames)).toEqual([2, undefined])
    expect(it.network.captures.stop("web")).toMatchObject({ machine: "web", path: one, frames: 2 })
    expect(() => it.network.captures.stop("web")).toThrow(expect.objectContaining({ code: "not-found" }))
    expect(it.told("capture-ended")).toEqual([])
  })

  it("ends by itself when its file is full, and with its machine", () => {
    using it = rig()
    const web = it.machine("web")
    const path = join(it.directory, "one")
    it.network.captures.start(spec(path, { machine: "web", maxBytes: 4096 }))
    expect(ping(it, web, 100)).toBe(100)
    expect(it.told("capture-ended")).toMatchObject([{ machine: "web", path }])
    expect(statSync(path).size).toBe(it.told("capture-ended")[0]?.bytes)
    expect(statSync(path).size).toBeGreaterThan(3900)
    expect(statSync(path).size).toBeLessThanOrEqual(4096)
    it.network.captures.start(spec(path, { machine: "web" }))
    it.network.removeLink("web")
    expect(it.told("capture-ended")).toMatchObject([
      {},
      { machine: "web", reason: "its machine was removed" },
    ])
    expect(it.network.captures.status("web")).toBeUndefined()
  })

  it("ends by itself when the disk is full, and nobody loses a frame by it", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const web = it.machine("web")
    it.network.captures.start(spec("/dev/full"))
    expect(ping(it, web)).toBe(1)
    now += 1000
    it.settle()
    expect(it.told("capture-ended")).toMatchObject([{ reason: expect.stringContaining("ENOSPC") }])
    expect(ping(it, web)).toBe(1)
  })

  it("is in its file within a second", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const web = it.machine("web")
    const path = join(it.directory, "all")
    it.network.captures.start(spec(path))
    ping(it, web)
    now += 1000
    it.settle()
    const { size } = statSync(path)
    expect(size).toBeGreaterThan(100)
    ping(it, web)
    now += 1000
    it.settle()
    expect(statSync(path).size).toBeGreaterThan(size)
  })
})

describe("faults", () => {
  it("are a machine's own, and end when they are taken away", () => {
    using it = rig()
    const [web, db] = [it.machine("web"), it.machine("db")]
    it.network.setFaults({ loss: 1 }, "web")
    expect([ping(it, web), ping(it, db)]).toEqual([0, 1])
    it.network.setFaults({ duplicate: 1 }, "web")
    expect([ping(it, web), ping(it, db)]).toEqual([4, 1])
    it.network.setFaults(undefined, "web")
    expect([ping(it, web), ping(it, db)]).toEqual([1, 1])
    expect(it.network.machines.get("web")?.faults).toBeUndefined()
    expect(() => it.network.setFaults({ loss: 1 }, "no")).toThrow(
      expect.objectContaining({ code: "not-found" }),
    )
  })

  it("delay by the loop's clock, and what is under way arrives when they end", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const machine = it.machine("web")
    it.network.setFaults({ delayMs: 100 }, "web")
    expect(ping(it, machine)).toBe(0)
    now += 100
    it.settle()
    now += 99
    it.settle()
    expect(echoes(machine)).toEqual([])
    now += 1
    it.settle()
    expect(echoes(machine)).toHaveLength(1)
    expect(ping(it, machine)).toBe(0)
    it.network.setFaults(undefined, "web")
    it.settle()
    expect(echoes(machine)).toHaveLength(1)
  })

  it("cut a machine off from all others, and put it back", () => {
    using it = rig()
    using server = HostSocket.bound(sys.SOCK_DGRAM)
    const machine = it.machine("web")
    it.network.setFaults({ partition: true }, "web")
    expect(ping(it, machine)).toBe(0)
    const ends = { from: GUEST, to: PLAN.gateway, fromPort: 9, toPort: server.port }
    machine.send(IPV4, datagram(ends, Buffer.from("lost")))
    it.settle()
    expect(server.read()).toBeUndefined()
    it.network.setFaults({ partition: false }, "web")
    expect(ping(it, machine)).toBe(1)
  })

  it("are counted, and lose the same for the same seed", async () => {
    using it = rig()
    const machine = it.machine("web")
    const run = (seed: number): readonly string[] => {
      it.network.setFaults({ loss: 0.3, seed }, "web")
      for (let each = 0; each < 60; each++) machine.send(IPV4, icmp(GUEST, PLAN.gateway, ECHO, each))
      it.settle()
      return echoes(machine).map(({ payload }) => Buffer.from(payload).toString("hex"))
    }
    const first = run(5)
    expect(first.length).toBeGreaterThan(10)
    expect(first.length).toBeLessThan(50)
    expect(run(5)).toEqual(first)
    expect(run(6)).not.toEqual(first)
    const { statusOf } = await import("../../src/gateway/report.ts")
    const [entry] = statusOf(it.network).machines
    expect(entry?.faults).toEqual({ loss: 0.3, seed: 6 })
    expect(entry?.counters["fault-lost"]).toBeGreaterThan(30)
  })
})

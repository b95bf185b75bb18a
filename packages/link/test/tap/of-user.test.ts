import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openTapOfUser, SystemMemory, TapLink } from "../../src/index.ts"
import * as packets from "../packets.ts"
import { Recorder } from "../recorder.ts"
import { whyNoNetwork } from "./network.ts"

function whyNot(): string {
  const network = whyNoNetwork()
  if (network !== "") return network
  if (spawnSync("nsenter", ["--version"]).error !== undefined) return "nsenter is not installed"
  if (spawnSync("unshare", ["--user", "--map-root-user", "--net", "true"]).status !== 0)
    return "no user namespace can be made"
  return ""
}

const missing = whyNot()
if (missing !== "") process.stdout.write(`TAP in a user namespace is skipped: ${missing}\n`)

describe.skipIf(missing !== "")("openTapOfUser()", () => {
  let guest: ChildProcess
  beforeAll(async () => {
    // Says its first word once it is inside, and lives as long as its standard input.
    const args = ["--user", "--map-root-user", "--net", "sh", "-c", "echo inside; cat"]
    guest = spawn("unshare", args, { stdio: ["pipe", "pipe", "inherit"] })
    if (guest.stdout !== null) await once(guest.stdout, "data")
  })
  afterAll(async () => {
    const ended = once(guest, "exit")
    guest.stdin?.end()
    await ended
  })

  it("opens a device in the namespaces of a process, and frames come out of it", () => {
    const device = openTapOfUser(guest.pid ?? -1, {
      interfaceName: "eth5",
      mtu: 4000,
      addresses: ["10.7.0.2/24", "fd00:7::2/64"],
      hardwareAddress: Uint8Array.from(packets.macOf("02:00:00:00:00:09")),
      up: true,
    })
    expect(device).toMatchObject({ interfaceName: "eth5", mtu: 4000, vnetHeader: true })
    using loop = new Loop()
    using memory = new SystemMemory({ heapBytes: 4 * 1024 * 1024 })
    using link = new TapLink({ name: "tap", scope: loop.root, memory, device })
    const recorder = new Recorder(link)
    link.start()
    expect([link.carrier, device.interface?.up]).toEqual([true, true])
    // The interface speaks by itself when it comes up: IPv6 looks for neighbours.
    const patience = performance.now() + 10_000
    while (recorder.frames.length === 0 && performance.now() < patience) loop.step()
    expect([...(recorder.frames[0]?.bytes.subarray(6, 12) ?? [])]).toEqual(packets.macOf("02:00:00:00:00:09"))
  })

  it("says what refused", () => {
    const before = sys.dup(0)
    sys.close(before)
    const pid = guest.pid ?? -1
    expect(() => openTapOfUser(pid, { mtu: 10 })).toThrow(/^SIOCSIFMTU: EINVAL/)
    expect(() => openTapOfUser(pid, { interfaceName: "a name that is far too long" })).toThrow(/Cannot name/)
    expect(() => openTapOfUser(2 ** 30)).toThrow(/Cannot open a TAP device in the namespaces of process/)
    const after = sys.dup(0)
    sys.close(after)
    expect(after).toBe(before)
  })
})

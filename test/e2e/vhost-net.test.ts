// The NIC over vhost-user under a real Linux driver: what it negotiates, frames both ways with all offloads, and a back end that is replaced.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type LoopThread, startLoop } from "@skep/loop"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { KeeperCalls } from "../../packages/vsock/test/process/keeper-thread.ts"
import { prepareBare, withVhostNet } from "../vm/bare-qemu.ts"
import type { NicCalls, NicStatus } from "../vm/nic-thread.ts"
import { ECHO_PORT, GATEWAY, SAY_PORT } from "../vm/scripted-gateway.ts"
import { sharedSkep } from "./skep.ts"

const MEMORY_MIB = 512
const BOOT_MS = 120_000
const BYTES = 20_000_000
/** Bits of the features that the driver is to have taken: Virtual I/O Device 1.2, section 5.1.3, and ring features. */
const WANTED = {
  csum: 0,
  guestCsum: 1,
  guestTso4: 7,
  guestTso6: 8,
  hostTso4: 11,
  hostTso6: 12,
  mergedBuffers: 15,
}
const RING = { indirect: 28, eventIndex: 29, version1: 32 }
const gateway = GATEWAY.join(".")
const BOOT_LOCAL = `#!/bin/sh
ip addr add 192.168.64.2/24 dev eth0
say() { echo "$*" | socat -u - UDP:${gateway}:${SAY_PORT}; }
say features $(cat /sys/class/net/eth0/device/features)
ping -c 3 -W 5 ${gateway} > /dev/null; say ping $?
head -c ${BYTES} /dev/urandom > /tmp/a
socat -t 60 - TCP:${gateway}:${ECHO_PORT} < /tmp/a > /tmp/b
cmp /tmp/a /tmp/b && say echo same || say echo differs
while sleep 1; do ping -c 1 -W 1 ${gateway} > /dev/null; say still here, ping $?; done
`

const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "vn-"))
const at = (name: string): string => join(directory, name)
let keeper: LoopThread<KeeperCalls>
let nic: LoopThread<NicCalls>
let qemu: ChildProcess

function startNic(): Promise<LoopThread<NicCalls>> {
  rmSync(at("back.sock"), { force: true })
  return startLoop<NicCalls>(new URL("../vm/nic-thread.ts", import.meta.url), {
    data: { socket: at("back.sock") },
  })
}

const status = (): Promise<NicStatus> => nic.call("status", undefined)

/** What the guest says that begins so; waits for it. */
async function said(begin: string, timeoutMs: number): Promise<string> {
  const find = async (): Promise<string> =>
    (await status()).said.find((line) => line.startsWith(begin)) ?? "nothing"
  await expect.poll(find, { timeout: timeoutMs, interval: 200 }).not.toBe("nothing")
  return find()
}

beforeAll(async () => {
  const { vm } = await skep.json(["status"])
  const argv = await prepareBare({
    directory: at("vm"),
    images: join(skep.home, "images"),
    accelerator: vm.accelerator,
    memoryMiB: MEMORY_MIB,
    bootLocal: BOOT_LOCAL,
  })
  nic = await startNic()
  keeper = await startLoop<KeeperCalls>(
    new URL("../../packages/vsock/test/process/keeper-thread.ts", import.meta.url),
    {
      data: { front: at("front.sock"), back: at("back.sock") },
    },
  )
  qemu = spawn("qemu-system-x86_64", [...withVhostNet(argv, MEMORY_MIB, at("front.sock"))], {
    stdio: ["ignore", "ignore", "inherit"],
  })
})

afterAll(async () => {
  if (qemu.exitCode === null && qemu.signalCode === null) {
    const gone = once(qemu, "exit")
    qemu.kill("SIGKILL")
    await gone
  }
  await keeper.stop()
  await nic.stop()
  rmSync(directory, { recursive: true, force: true })
})

describe("Linux's driver", () => {
  it("takes every feature that is offered", async () => {
    const features = (await said("features", BOOT_MS)).split(" ")[1] ?? ""
    const bits = Object.entries({ ...WANTED, ...RING }).map(([name, bit]) => [name, features[bit]])
    expect(bits).toEqual(Object.keys({ ...WANTED, ...RING }).map((name) => [name, "1"]))
    expect((await status()).offloads).toEqual({ checksum: true, tcp4: true, tcp6: true })
    expect((await status()).carrier).toEqual([true])
  })

  it("sends and hears pings", async () => {
    expect(await said("ping", 60_000)).toBe("ping 0")
  })

  it("sends a stream in segments that are still to be cut, and has it back in such, unchanged", async () => {
    expect(await said("echo", 90_000)).toBe("echo same")
    const { counters, segmentsIn, segmentsOut, largestIn, piecesOut, interrupts } = await status()
    expect(counters).toMatchObject({ malformed: 0 })
    expect(largestIn).toBeGreaterThan(30_000)
    expect(segmentsIn).toBeGreaterThan(BYTES / 65_536 / 2)
    expect(segmentsOut).toBeGreaterThan(BYTES / 65_536 / 2)
    expect(interrupts).toBeGreaterThan(0)
    // Linux cuts its buffers out of larger pages, so that they join: some 15 to 40 buffers are two or three pieces.
    expect(piecesOut).toBeLessThan(8 * segmentsOut)
  })
})

describe("a back end that is replaced", () => {
  it("is followed by one that the guest goes on with, three times, without its driver's help", async () => {
    for (let round = 1; round <= 3; round++) {
      await said("still here", 30_000)
      await nic.stop()
      nic = await startNic()
      expect(await said("still here, ping 0", 30_000)).toBe("still here, ping 0")
      expect((await status()).counters).toMatchObject({ malformed: 0, droppedOut: 0 })
      const { state, counters } = await keeper.call("status", undefined)
      expect(state).toBe("relaying")
      expect(counters.replays).toBeGreaterThanOrEqual(round)
    }
  })
})

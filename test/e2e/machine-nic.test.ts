// A NIC over vhost-user under the launcher: its back end is killed, and its keeper, and the guest's driver goes on.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { LauncherRunning } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { currentImage, emulationParameters, hostTscKhz, kernelCommandLine, writeSeed } from "@skep/guest"
import { createDisk, launcher } from "@skep/launcher"
import { type LoopThread, startLoop } from "@skep/loop"
import { adopt } from "@skep/runtime"
import { newSshKey } from "@skep/runtime/ssh-key"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { NicCalls } from "../vm/reflecting-nic-thread.ts"
import { sharedSkep } from "./skep.ts"

const GIB = 2 ** 30
const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "nic-"))
const at = (name: string): string => join(directory, name)
/** Says after each echo request whether it was answered, and how often the link has changed. */
const BOOT_LOCAL = `#!/bin/sh
(ip link set eth0 up; ip addr add 10.9.0.2/24 dev eth0
while usleep 200000; do
  if ping -c1 -W1 10.9.0.1 >/dev/null 2>&1; then said=answered; else said=silent; fi
  echo "nic $said $(cat /sys/class/net/eth0/carrier_changes)" > /dev/console
done) &
`
let nic: LoopThread<NicCalls>
let machine: LauncherRunning

function startNic(): Promise<LoopThread<NicCalls>> {
  return startLoop<NicCalls>(new URL("../vm/reflecting-nic-thread.ts", import.meta.url), {
    data: { socket: at("net.sock") },
  })
}

/** What the guest has said so far. */
function said(): readonly string[] {
  return readFileSync(at("console.log"), "utf8")
    .split("\n")
    .flatMap((line) => /nic \w+ \d+/.exec(line)?.[0] ?? [])
}

/** Resolves with the guest's words since `from`, when it was silent once and then answered. */
async function recovery(from: number): Promise<readonly string[]> {
  const words = (): readonly string[] => said().slice(from)
  const silent = (): number => words().findIndex((word) => word.includes("silent"))
  const look = (): boolean =>
    silent() >= 0 &&
    words()
      .slice(silent())
      .some((word) => word.includes("answered"))
  await expect.poll(look, { timeout: 30_000 }).toBe(true)
  return words()
}

const changes = (word: string | undefined): number => Number(word?.split(" ")[2])

beforeAll(async () => {
  const image = await currentImage(join(skep.home, "images"), "amd64")
  if (image === undefined) throw new Error("skep up has just built the image")
  mkdirSync(at("run"), { mode: 0o700 })
  await createDisk(at("data.img"), 2 * GIB)
  await writeSeed(at("seed.img"), {
    hostname: "nic",
    authorizedKeys: [],
    hostKey: newSshKey("").privateKey,
    vsockSecret: "none",
    bootLocal: BOOT_LOCAL,
  })
  nic = await startNic()
  const options = launcher.parseOptions({
    name: "nic",
    cpus: 1,
    memoryMiB: 512,
    boot: {
      kernel: image.kernel,
      initrd: image.initrd,
      commandLine: kernelCommandLine({ arch: "amd64" }),
      emulationParameters: emulationParameters(await hostTscKhz()).join(" "),
    },
    disks: [
      { serial: "skep-root", path: image.root, readOnly: true },
      { serial: "skep-data", path: at("data.img"), discard: true },
      { serial: "skep-seed", path: at("seed.img"), readOnly: true },
    ],
    network: { kind: "vhost-user", mac: "52:54:00:00:00:09", socket: at("net.sock"), mtu: 65_520 },
    runDirectory: at("run"),
    logDirectory: directory,
    verdictFile: join(skep.home, "cache/accelerators.json"),
  })
  machine = await launcher.start(options, testContext())
})

afterAll(async () => {
  await machine.kill()
  await nic.stop()
  rmSync(directory, { recursive: true, force: true })
})

describe("a NIC over vhost-user", () => {
  it("has its keeper, and the MAC address of the description", async () => {
    await expect.poll(() => said().some((word) => word.includes("answered")), { timeout: 60_000 }).toBe(true)
    const { network, devices } = await machine.status()
    expect(network).toEqual({ kind: "vhost-user", mac: "52:54:00:00:00:09" })
    expect(devices).toEqual([{ name: "net", state: "relaying", runs: true }])
    expect(await nic.call("replies", undefined)).toBeGreaterThan(0)
  })

  it("goes on with another back end, and the guest sees no change of its link", async () => {
    for (let round = 0; round < 2; round++) {
      const before = said()
      await nic.stop()
      await expect.poll(() => said().slice(before.length).join(), { timeout: 20_000 }).toContain("silent")
      nic = await startNic()
      const words = await recovery(before.length)
      expect(changes(words.at(-1))).toBe(changes(before.at(-1)))
    }
  })

  it("comes back by itself with another keeper, after a link that was down for a moment", async () => {
    const control = at("run/keeper.sock")
    const never = new AbortController().signal
    const keeper = await adopt({ control, signal: never, parseStatus: (value) => value })
    keeper.release()
    const before = said()
    process.kill(keeper.identity.pid, "SIGKILL")
    const words = await recovery(before.length)
    expect(changes(words.at(-1))).toBeGreaterThan(changes(before.at(-1)))
    const { devices } = await machine.status()
    expect(devices).toEqual([{ name: "net", state: "relaying", runs: true }])
  })
})

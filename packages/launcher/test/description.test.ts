import { describe, expect, it } from "vitest"
import { CPUS_MAX, MEMORY_MAX_MIB } from "../src/bounds.ts"
import { parseLauncherOptions } from "../src/index.ts"

const good = {
  name: "box",
  cpus: 2,
  memoryMiB: 1024,
  boot: { kernel: "/i/vmlinuz", initrd: "/i/initrd.img", commandLine: "console=ttyS0" },
  disks: [{ serial: "skep-root", path: "/i/root.erofs", readOnly: true }],
  network: { kind: "qemu-user", mac: "52:54:00:12:34:56", restricted: true },
  runDirectory: "/r",
  logDirectory: "/l",
  verdictFile: "/v.json",
}

describe("parseLauncherOptions()", () => {
  it("fills in what is not said", () => {
    expect(parseLauncherOptions(good)).toMatchObject({
      arch: "amd64",
      accelerator: "auto",
      program: "qemu-system-x86_64",
      disks: [{ readOnly: true, discard: false }],
      network: { id: "net0", forwards: [] },
    })
  })

  it.each([
    [{ cpus: 0 }, `Cannot use "cpus" of the launcher: it is 0: `],
    [{ name: "a b" }, `Cannot use "name" of the launcher: it is "a b": must be letters`],
    [{ memoryMiB: undefined }, `Cannot use "memoryMiB" of the launcher: it is missing: `],
    [{ accelerator: "magic" }, `Cannot use "accelerator" of the launcher: it is "magic": `],
    [
      { runDirectory: "run" },
      `Cannot use "runDirectory" of the launcher: it is "run": must be an absolute path`,
    ],
    [
      { boot: { ...good.boot, commandLine: "a\nb" } },
      `Cannot use "boot.commandLine" of the launcher: it is "a\\nb": must be one line`,
    ],
    [{ network: { ...good.network, mac: "53:54:00:12:34:56" } }, `Cannot use "network.mac" of the launcher`],
    [{ disks: [good.disks[0], good.disks[0]] }, `must have distinct serials`],
    [
      { devices: [{ kind: "virtiofs", name: "shares", socket: "/r/s.sock" }] },
      `Cannot use "devices.0.tag" of the launcher: it is missing: `,
    ],
    [
      { devices: [{ kind: "virtiofs", name: "shares", socket: "/r/s.sock", tag: "x".repeat(37) }] },
      `Cannot use "devices.0.tag" of the launcher`,
    ],
    [
      { devices: [{ kind: "virtiofs", name: "net", socket: "/r/s.sock", tag: "skep" }] },
      `must not be "net", which is the NIC's`,
    ],
    [{ devices: [{ kind: "vsock", name: "v", socket: "/r/s.sock", tag: "skep" }] }, `"tag"`],
    [{ disks: [{ serial: "x".repeat(21), path: "/x" }] }, `Cannot use "disks.0.serial" of the launcher`],
  ])("names field and value of %j", (change, message) => {
    const parse = (): unknown => parseLauncherOptions({ ...good, ...change })
    expect(parse).toThrow(message)
    expect(parse).toThrow(expect.objectContaining({ code: "bad-options" }))
  })

  it("takes up to the bounds, which the command line shares", () => {
    const most = { cpus: CPUS_MAX, memoryMiB: MEMORY_MAX_MIB }
    expect(parseLauncherOptions({ ...good, ...most })).toMatchObject(most)
    for (const more of [{ cpus: CPUS_MAX + 1 }, { memoryMiB: MEMORY_MAX_MIB + 1 }]) {
      expect(() => parseLauncherOptions({ ...good, ...more })).toThrow("Too big")
    }
  })

  it("refuses what it does not know, and what is no object", () => {
    expect(() => parseLauncherOptions({ ...good, surprise: 1 })).toThrow("surprise")
    expect(() => parseLauncherOptions(7)).toThrow("Cannot use the options of the launcher: it is 7")
  })
})

// Whether the kernel's vsock is there, whether it is to be used, and how QEMU is told.
import { existsSync } from "node:fs"
import { testContext } from "@skep/contract-tests"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { preferKernelVsock } from "../../src/vhost-vsock/preference.ts"
import { probeVhostVsock, VHOST_VSOCK_DEVICE } from "../../src/vhost-vsock/probe.ts"
import { vhostVsockArguments } from "../../src/vhost-vsock/qemu-arguments.ts"
import { vhostVsock, vhostVsockOn } from "../../src/vhost-vsock/vhost-vsock.ts"
import { onUnix } from "./on-unix.ts"

const fine = { openDevice: () => undefined, openSocket: () => undefined }

describe("probeVhostVsock()", () => {
  it("opens", () => {
    expect(probeVhostVsock(fine).state).toBe("opens")
  })
  it.each(["EACCES", "EPERM"])("is denied by %s", (error) => {
    const found = probeVhostVsock({ ...fine, openDevice: () => error })
    expect(found).toMatchObject({ state: "denied" })
    expect(found.reason).toContain(error)
  })
  it.each(["ENOENT", "ENODEV", "ENXIO"])("is missing by %s", (error) => {
    expect(probeVhostVsock({ ...fine, openDevice: () => error })).toMatchObject({ state: "missing" })
  })
  it("is missing without sockets, though there is a device", () => {
    const found = probeVhostVsock({ ...fine, openSocket: () => "EAFNOSUPPORT" })
    expect(found).toMatchObject({ state: "missing" })
    expect(found.reason).toContain("EAFNOSUPPORT")
  })
  it("says of this machine what is so", () => {
    expect(probeVhostVsock().reason.includes("ENOENT")).toBe(!existsSync(VHOST_VSOCK_DEVICE))
  })
})

describe("preferKernelVsock()", () => {
  const opens = probeVhostVsock(fine)
  const missing = probeVhostVsock({ ...fine, openDevice: () => "ENOENT" })

  it.each([
    [missing, "kvm", false, false],
    [opens, "tcg", false, false],
    [opens, "hvf", false, false],
    [opens, "kvm", true, false],
    [opens, "kvm", false, true],
  ] as const)("%o under %s, replaceable %s: %s", (probe, accelerator, replaceable, kernel) => {
    expect(preferKernelVsock({ probe, accelerator, replaceable }).kernel).toBe(kernel)
  })
  it("is ours unless told that nothing has to be replaced, and says the probe's reason where that decides", () => {
    expect(preferKernelVsock({ probe: opens, accelerator: "kvm" }).kernel).toBe(false)
    expect(preferKernelVsock({ probe: missing, accelerator: "kvm" }).reason).toBe(missing.reason)
  })
})

it("vhostVsockArguments() names the device of the bus", () => {
  expect(vhostVsockArguments(3, "mmio")).toEqual(["-device", "vhost-vsock-device,guest-cid=3"])
  expect(vhostVsockArguments(7, "pci")).toEqual(["-device", "vhost-vsock-pci,guest-cid=7"])
})

describe("start", () => {
  it.each([
    ["denied", "permission-denied"],
    ["missing", "unsupported"],
  ] as const)("says why where the device is %s, with what to do", async (state, code) => {
    const sidecar = vhostVsockOn({
      thread: new URL("file:///nowhere.js"),
      probe: () => ({ state, reason: "so it is", next: "Do this" }),
    })
    const starting = sidecar.start(sidecar.parseOptions({ guestCid: 5 }), testContext())
    await expect(starting).rejects.toMatchObject({ code, next: "Do this" })
    await expect(starting).rejects.toThrow("Cannot serve the vsock of guest 5 by the kernel: so it is")
  })

  it.skipIf(probeVhostVsock().state !== "missing")("is unsupported on this machine", async () => {
    const starting = vhostVsock.start(vhostVsock.parseOptions({ guestCid: 3 }), testContext())
    await expect(starting).rejects.toMatchObject({
      code: "unsupported",
      next: expect.stringContaining("modprobe"),
    })
  })

  it("says address-in-use for a path, and for a port of the host, that somebody has; and leaves nothing", async () => {
    await using directory = await temporaryDirectory()
    const options = (name: string, ports: readonly number[]) =>
      onUnix.parseOptions({
        guestCid: 3,
        directory: directory.at(name),
        udsPath: directory.at(`${name}.fc`),
        services: ports,
      })
    const first = await onUnix.start(options("a", [7000]), testContext())
    const twice = onUnix.start(options("a", []), testContext())
    await expect(twice).rejects.toMatchObject({ code: "address-in-use" })
    const same = onUnix.start(options("b", [7000]), testContext())
    await expect(same).rejects.toMatchObject({ code: "address-in-use" })
    await expect(same).rejects.toThrow("port 7000 of the host")
    expect((await directory.list()).filter((name) => name.startsWith("b"))).toEqual(["b"])
    expect(existsSync(directory.at("a/connect"))).toBe(true)
    await first[Symbol.asyncDispose]()
  })
})

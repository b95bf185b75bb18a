import type { ForwardRule } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { hostForward, type MachineDescription, qemuArguments, type UserNetwork } from "../../src/index.ts"

const userNetwork: UserNetwork = {
  kind: "qemu-user",
  id: "net0",
  mac: "52:54:00:12:34:56",
  restricted: true,
  forwards: [{ transport: "tcp", hostAddress: "127.0.0.1", hostPort: 2222, guestPort: 22 }],
}
const description: MachineDescription = {
  name: "box",
  arch: "amd64",
  cpus: 2,
  memoryMiB: 1024,
  accelerator: "auto",
  boot: {
    kernel: "/i/vmlinuz",
    initrd: "/i/initrd.img",
    commandLine: "console=ttyS0 tsc=reliable",
    emulationParameters: "",
  },
  disks: [
    { serial: "skep-root", path: "/i/root.erofs", readOnly: true, discard: false },
    { serial: "skep-data", path: "/m/a,b.img", readOnly: false, discard: true },
  ],
  network: userNetwork,
  devices: [],
}
const sockets = {
  qmp: "/r/qmp.sock",
  qmpNetwork: "/r/qmp-network.sock",
  serial: "/r/serial.sock",
  fronts: { vsock: "/r/vhost-vsock.sock", shares: "/r/vhost-shares.sock", net: "/r/vhost-net.sock" },
}

/** One option a line, as a reader of `ps` would break them. */
function lines(
  change: Partial<MachineDescription> = {},
  accelerator: "kvm" | "hvf" | "tcg" = "tcg",
  platform: NodeJS.Platform = "linux",
): readonly string[] {
  const args = qemuArguments({ description: { ...description, ...change }, accelerator, sockets, platform })
  return args.join(" ").split(/ (?=-)/)
}

describe("qemuArguments()", () => {
  it("writes this command line", () => {
    expect(lines()).toEqual([
      "-name guest=box",
      "-no-user-config",
      "-nodefaults",
      "-machine microvm,acpi=on,rtc=on,isa-serial=on",
      "-accel tcg,thread=multi",
      "-cpu Nehalem,-spec-ctrl",
      "-smp 2",
      "-m 1024M",
      "-rtc base=utc",
      "-display none",
      "-msg timestamp=on",
      "-S",
      "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny",
      "-global virtio-mmio.force-legacy=off",
      "-kernel /i/vmlinuz",
      "-initrd /i/initrd.img",
      "-append console=ttyS0 tsc=reliable",
      "-chardev socket,id=serial,path=/r/serial.sock,server=on,wait=off",
      "-serial chardev:serial",
      "-chardev socket,id=qmp,path=/r/qmp.sock,server=on,wait=off",
      "-mon chardev=qmp,mode=control",
      "-chardev socket,id=qmp-network,path=/r/qmp-network.sock,server=on,wait=off",
      "-mon chardev=qmp-network,mode=control",
      "-blockdev driver=raw,node-name=disk-skep-root,file.driver=file,file.filename=/i/root.erofs,file.discard=ignore,discard=ignore,read-only=on",
      "-device virtio-blk-device,drive=disk-skep-root,serial=skep-root",
      "-blockdev driver=raw,node-name=disk-skep-data,file.driver=file,file.filename=/m/a,,b.img,file.discard=unmap,discard=unmap,read-only=off",
      "-device virtio-blk-device,drive=disk-skep-data,serial=skep-data",
      "-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22",
      "-device virtio-net-device,netdev=net0,mac=52:54:00:12:34:56",
      "-device virtio-rng-device",
      "-device virtio-balloon-device,free-page-reporting=on",
    ])
  })

  it("shares the memory with a device of another program, and waits for its keeper", () => {
    const plain = lines()
    const shared = lines({ devices: [{ kind: "vsock", name: "vsock", socket: "/r/vsock.sock" }] })
    expect(shared.filter((line) => !plain.includes(line))).toEqual([
      "-object memory-backend-memfd,id=memory,size=1024M,share=on",
      "-machine microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=memory",
      "-chardev socket,id=vhost-vsock,path=/r/vhost-vsock.sock,server=on,wait=on",
      "-device vhost-user-vsock-device,chardev=vhost-vsock",
    ])
  })

  it("gives a file system its tag and a queue that holds the largest request", () => {
    const plain = lines()
    const shared = lines({
      devices: [
        { kind: "vsock", name: "vsock", socket: "/r/vsock.sock" },
        { kind: "virtiofs", name: "shares", socket: "/r/shares.sock", tag: "skep" },
      ],
    })
    expect(shared.filter((line) => !plain.includes(line))).toEqual([
      "-object memory-backend-memfd,id=memory,size=1024M,share=on",
      "-machine microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=memory",
      "-chardev socket,id=vhost-vsock,path=/r/vhost-vsock.sock,server=on,wait=on",
      "-device vhost-user-vsock-device,chardev=vhost-vsock",
      "-chardev socket,id=vhost-shares,path=/r/vhost-shares.sock,server=on,wait=on",
      "-device vhost-user-fs-device,chardev=vhost-shares,tag=skep,queue-size=1024",
    ])
  })

  it.each([
    ["kvm", ["-accel kvm", "-cpu host"]],
    ["hvf", ["-accel hvf", "-cpu host"]],
    ["tcg", ["-accel tcg,thread=multi", "-cpu Nehalem,-spec-ctrl"]],
  ] as const)("chooses the processor for %s", (accelerator, expected) => {
    expect(lines({}, accelerator).filter((line) => /^-(accel|cpu) /.test(line))).toEqual(expected)
  })

  it("adds the emulation's parameters under emulation only", () => {
    const boot = { ...description.boot, emulationParameters: "mitigations=off norandmaps" }
    expect(lines({ boot })).toContain("-append console=ttyS0 tsc=reliable mitigations=off norandmaps")
    expect(lines({ boot }, "kvm")).toContain("-append console=ttyS0 tsc=reliable")
  })

  it("has no system-call filter off Linux", () => {
    expect(lines({}, "hvf", "darwin").some((line) => line.startsWith("-sandbox"))).toBe(false)
  })

  it("lets the guest out only when it is told to", () => {
    const network = { ...userNetwork, restricted: false, forwards: [] }
    expect(lines({ network })).toContain("-netdev user,id=net0,restrict=off")
  })

  const served = { mac: "52:54:00:12:34:56", socket: "/r/net.sock" }

  it("gives a network over vhost-user shared memory and a keeper, as it does a device", () => {
    const plain = lines()
    const other = lines({ network: { kind: "vhost-user", ...served, mtu: 65_520 } })
    expect(other.filter((line) => !plain.includes(line))).toEqual([
      "-object memory-backend-memfd,id=memory,size=1024M,share=on",
      "-machine microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=memory",
      "-chardev socket,id=vhost-net,path=/r/vhost-net.sock,server=on,wait=on",
      "-netdev vhost-user,id=net0,chardev=vhost-net",
      "-device virtio-net-device,netdev=net0,mac=52:54:00:12:34:56,host_mtu=65520",
    ])
  })

  it("gives a stream a hub whose other port is joined later", () => {
    const plain = lines()
    const other = lines({ network: { kind: "stream", ...served } })
    expect(other.filter((line) => !plain.includes(line))).toEqual(["-netdev hubport,id=net0,hubid=0"])
    expect(other).toContain("-device virtio-net-device,netdev=net0,mac=52:54:00:12:34:56")
  })

  it("refuses arm64 with unsupported-arch", () => {
    expect(() => lines({ arch: "arm64" })).toThrow(expect.objectContaining({ code: "unsupported-arch" }))
  })
})

describe("hostForward()", () => {
  const rule: ForwardRule = {
    transport: "udp",
    hostAddress: "0.0.0.0",
    hostPort: 53,
    guestAddress: "10.0.2.15",
    guestPort: 5353,
  }

  it("writes what hostfwd takes", () => {
    expect(hostForward(rule)).toBe("udp:0.0.0.0:53-10.0.2.15:5353")
  })

  it("refuses IPv6 with unsupported", () => {
    expect(() => hostForward({ ...rule, hostAddress: "::1" })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    )
    expect(() => hostForward({ ...rule, guestAddress: "fd00::1" })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    )
  })
})

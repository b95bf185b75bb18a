import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { limaMac } from "../../src/owners/lima.ts"
import { macOfText } from "../../src/owners/machine.ts"
import { readMachines } from "../../src/owners/machines.ts"

/** As their own documentation and sources have them. */
const FILES: Readonly<Record<string, string>> = {
  "home/.skep/machines/dev/machine.json": '{"version": 1, "name": "dev", "mac": "02:00:5e:10:00:01"}',
  "home/.skep/run/dev/vm.json": '{"identity": {"pid": 11}}',
  "home/.lima/default/lima.yaml":
    'vmType: vz\nnetworks:\n- lima: shared\n  macAddress: "52:55:55:AA:bb:0c"\n- vzNAT: true\n',
  "home/.lima/default/ha.pid": "12\n",
  "home/.lima/_config/networks.yaml": "paths: {}\n",
  "home/.colima/_lima/colima/lima.yaml": "networks: []\n",
  "home/.minikube/machines/minikube/config.json":
    '{"DriverName": "hyperkit", "Driver": {"IPAddress": "192.168.64.9", "MachineName": "minikube", "UUID": "b0ac5d8e-0000-11ee-a506-0242ac120002"}}',
  "home/.minikube/machines/m02/config.json":
    '{"Driver": {"MachineName": "m02", "MACAddress": "5a:94:ef:e4:c:ee"}}',
  "home/.minikube/machines/m02/vfkit.pid": "13",
  "home/.docker/machine/machines/old/config.json":
    '{"Driver": {"MachineName": "old", "IPAddress": "192.168.64.3"}}',
  "home/.config/containers/podman/machine/applehv/p.json":
    '{"Name": "p", "AppleHypervisor": {"Vfkit": {"VirtualMachine": {"devices": [{"kind": "virtionet", "macAddress": "5a:94:ef:e4:0c:ef"}]}}}}',
  "root/var/snap/multipass/common/data/multipassd/multipassd-vm-instances.json":
    '{"primary": {"deleted": false, "mac_addr": "52:54:00:5d:ed:45", "extra_interfaces": [{"mac_address": "52:54:00:5d:ed:46"}], "state": 4}}',
  "root/etc/libvirt/qemu/win.xml":
    "<domain type='kvm'>\n<name>win&amp;dows</name><interface><mac address='52:54:00:01:02:03'/></interface></domain>",
  "root/etc/libvirt/qemu/networks.xml": "<network><name>default</name></network>",
  "home/.minikube/machines/broken/config.json": "{",
  "home/.skep/machines/broken/machine.json": '{"mac": 7}',
}

describe("readMachines()", () => {
  it("finds the machines of every tool, and who of them runs", async () => {
    await using directory = await temporaryDirectory()
    for (const [name, text] of Object.entries(FILES)) put(directory.path, name, text)
    const { machines, unread } = readMachines(hostOf(directory.path))
    expect(unread).toEqual([])
    const found = machines.map(({ tool, name, running, macs }) => [
      `${tool}:${name}`,
      running,
      macs.slice(0, 2),
    ])
    const place = join(directory.path, "home/.lima/default")
    expect(found).toEqual([
      ["skep:dev", true, ["02:00:5e:10:00:01"]],
      ["lima:default", true, ["52:55:55:aa:bb:0c", limaMac("host-id", place)]],
      ["colima:colima", false, expect.any(Array)],
      ["minikube:m02", true, ["5a:94:ef:e4:0c:ee"]],
      ["minikube:minikube", undefined, []],
      ["docker-machine:old", undefined, []],
      ["multipass:primary", true, ["52:54:00:5d:ed:45", "52:54:00:5d:ed:46"]],
      ["podman:p", undefined, ["5a:94:ef:e4:0c:ef"]],
      ["libvirt:win&dows", false, ["52:54:00:01:02:03"]],
    ])
    expect(machines.find(({ name }) => name === "minikube")).toMatchObject({
      macsComplete: false,
      addresses: ["192.168.64.9"],
    })
  })
  it("finds nothing where there is nothing", async () => {
    await using directory = await temporaryDirectory()
    expect(readMachines(hostOf(directory.path))).toEqual({ machines: [], unread: [] })
  })
  it("makes Lima's addresses as limayaml.MACAddress does", () => {
    const hash = createHash("sha256").update("id/home/me/.lima/default/lima.yaml#0").digest()
    const [a = 0, b = 0, c = 0] = hash
    const text = [0x52, 0x55, 0x55, a, b, c].map((byte) => byte.toString(16).padStart(2, "0")).join(":")
    expect(limaMac("id", "/home/me/.lima/default/lima.yaml#0")).toBe(text)
  })
  it("reads MAC addresses in every spelling, and none where there is none", () => {
    expect(["52:54:0:9C:22:d7", "52-54-00-9c-22-d7"].map(macOfText)).toEqual([
      "52:54:00:9c:22:d7",
      "52:54:00:9c:22:d7",
    ])
    expect(
      ["", "52:54:00:9c:22", "52:54:00:9c:22:d7:00", "00:00:00:00:00:00", "g:0:0:0:0:1"].map(macOfText),
    ).toEqual(Array(5).fill(undefined))
  })
})

function hostOf(path: string): Parameters<typeof readMachines>[0] {
  const alive = new Set([11, 12, 13])
  return {
    root: join(path, "root"),
    homes: [join(path, "home")],
    machineId: "host-id",
    isAlive: (pid) => alive.has(pid),
  }
}

function put(directory: string, name: string, text: string): void {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

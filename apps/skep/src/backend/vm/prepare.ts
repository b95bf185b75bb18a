/**
 * What must lie on the disk before a machine can boot: the data disk, the seed, the files for ssh(1), a free SSH port.
 *
 * @module
 */
import { hostname } from "node:os"
import { SidecarError } from "@skep/contract"
import type { Image } from "@skep/guest"
import type { LauncherOptions } from "@skep/launcher"
import { privateDirectory } from "@skep/runtime"
import type { Home, MachinePaths } from "../../home/paths.ts"
import { type MachineKeys, vsockSecretOf } from "../../machine/keys.ts"
import { freePort, isPortFree } from "../../machine/port.ts"
import type { MachineRecord } from "../../machine/record.ts"
import type { Report } from "../operation.ts"

const GIB = 2 ** 30
/** The device of the shares, and what the guest mounts it by. */
export const SHARES = "shares"
export const SHARES_TAG = "skep"

/** Creates the data disk, or grows it. */
export async function prepareDisk(paths: MachinePaths, record: MachineRecord): Promise<void> {
  await privateDirectory(paths.run)
  await createOrGrow(paths.data, record.diskGiB * GIB)
}

/** Writes what makes this machine of the image that all share. `host`: where it finds its host. */
export async function prepareSeed(
  paths: MachinePaths,
  record: MachineRecord,
  keys: MachineKeys,
  host: string,
): Promise<void> {
  const { writeSeed } = await import("@skep/guest")
  await writeSeed(paths.seed, {
    hostname: record.name === "default" ? "skep" : `skep-${record.name}`,
    authorizedKeys: [keys.user.publicKey],
    hostKey: keys.host.privateKey,
    vsockSecret: vsockSecretOf(keys),
    // What is written in Compose files as `host.docker.internal:host-gateway`: Docker's own choice is its bridge, which is the machine.
    daemon: { "host-gateway-ip": host },
    env: {
      SKEP_MACHINE: record.name,
      SKEP_HOST: hostname(),
    },
    shares: (record.shares?.length ?? 0) > 0,
  })
}

async function createOrGrow(path: string, bytes: number): Promise<void> {
  const { createDisk, growDisk } = await import("@skep/launcher")
  try {
    await growDisk(path, bytes)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "not-found") throw error
    await createDisk(path, bytes)
  }
}

/** The record with an SSH port that is free: the one it has, or another one and a note. */
export async function prepareSshPort(record: MachineRecord, report: Report): Promise<MachineRecord> {
  if (await isPortFree(record.sshPort)) return record
  const sshPort = await freePort()
  report({
    type: "note",
    text: `port ${record.sshPort} is taken on the host, so SSH into ${record.name} uses ${sshPort} now`,
  })
  return { ...record, sshPort }
}

/** The machine description for the launcher. */
export async function describeMachine(
  home: Home,
  paths: MachinePaths,
  record: MachineRecord,
  image: Image,
  has: { readonly vsock: boolean; readonly shares: boolean; readonly network: LauncherOptions["network"] },
): Promise<LauncherOptions> {
  const { emulationParameters, hostTscKhz, kernelCommandLine } = await import("@skep/guest")
  const { launcher } = await import("@skep/launcher")
  const commandLine = kernelCommandLine({ arch: image.arch })
  const emulation = emulationParameters(await hostTscKhz()).join(" ")
  return launcher.parseOptions({
    name: record.name,
    arch: image.arch,
    cpus: record.cpus,
    memoryMiB: record.memoryMiB,
    accelerator: record.accelerator,
    boot: {
      kernel: image.kernel,
      initrd: image.initrd,
      commandLine,
      emulationParameters: emulation,
    },
    disks: [
      { serial: "skep-root", path: image.root, readOnly: true },
      { serial: "skep-data", path: paths.data, readOnly: false, discard: true },
      { serial: "skep-seed", path: paths.seed, readOnly: true },
    ],
    network: has.network,
    devices: [
      ...(has.vsock ? [{ kind: "vsock", name: "vsock", socket: paths.vsockSocket }] : []),
      ...(has.shares
        ? [{ kind: "virtiofs", name: SHARES, socket: paths.sharesSocket, tag: SHARES_TAG }]
        : []),
    ],
    runDirectory: paths.run,
    logDirectory: paths.directory,
    verdictFile: home.verdictFile,
    bootedPhase: "ssh",
  })
}

/**
 * From a stopped machine to a virtual machine whose guest has printed its first line.
 *
 * @module
 */

import { orAborted, withResolvers } from "@skep/runtime"
import { writeSshFiles } from "../../machine/keys.ts"
import { type MachineRecord, writeRecord } from "../../machine/record.ts"
import type { Report } from "../operation.ts"
import { runPhase, withDetail } from "../phase.ts"
import { consoleTail } from "./console-tail.ts"
import type { VmContext } from "./context.ts"
import { type Image, imageSummary } from "./image.ts"
import { startLauncher } from "./launcher-process.ts"
import { type MachineNetwork, networkOf } from "./network/network.ts"
import { describeMachine, prepareDisk, prepareSeed, prepareSshPort } from "./prepare.ts"
import type { MachineShares } from "./shares/machine-shares.ts"
import { sharesOf } from "./shares/shares-of.ts"
import type { Vm } from "./vm.ts"
import { MachineVsock } from "./vsock.ts"

const IMAGE = { name: "image", title: "Guest image", deadlineMs: 30 * 60_000 }
const DISK = { name: "disk", title: "Disks and keys", deadlineMs: 60_000 }
const BOOT = {
  name: "boot",
  title: "Virtual machine",
  deadlineMs: 120_000,
  takeBack: (vm: Vm): Promise<void> => vm.kill(),
}
const CONSOLE_LINES = 12

export interface Booted {
  readonly vm: Vm
  /** The record as it is now: the SSH port may have moved. */
  readonly record: MachineRecord
}

/** An abort or a failure leaves no process and no socket; the disk keeps what was written. */
export async function bringUp(context: VmContext, report: Report, signal: AbortSignal): Promise<Booted> {
  const image: Image = await runPhase(IMAGE, report, signal, async (limit) => {
    const found = await context.images.prepare(report, limit)
    report({ type: "detail", phase: IMAGE.name, text: imageSummary(found) })
    return found
  })
  // Beside the next phase, since QEMU waits for its devices.
  const sidecar = new MachineVsock(context)
  const joined = withResolvers<MachineNetwork>()
  const serving = sharesOf({
    ...context,
    hostAddress: async () => await (await joined.promise).hostAddress(),
  })
  try {
    return await boot({ context, image, sidecar, serving, joined: joined.resolve, report, signal })
  } catch (error) {
    await serving?.[Symbol.asyncDispose]()
    await sidecar[Symbol.asyncDispose]()
    throw error
  }
}

interface Boot {
  readonly context: VmContext
  readonly image: Image
  readonly sidecar: MachineVsock
  readonly serving: MachineShares | undefined
  /** Hears of the machine's network. */
  readonly joined: (network: MachineNetwork) => void
  readonly report: Report
  readonly signal: AbortSignal
}

async function boot({ context, image, sidecar, serving, joined, report, signal }: Boot): Promise<Booted> {
  const { home, paths } = context
  const record = await runPhase(DISK, report, signal, async () => {
    const wanted = await prepareSshPort(context.record, report)
    const keys = await context.keys()
    await prepareDisk(paths, wanted)
    await writeSshFiles(paths, wanted.name, wanted.sshPort, keys)
    await writeRecord(paths.record, wanted)
    return wanted
  })
  const booting = { ...context, record }
  const vm = await runPhase(BOOT, report, signal, async (limit) => {
    const vsock = await orAborted(sidecar.ready(report), limit)
    // Not before its port for SSH is known.
    const network = networkOf(booting, record.network ?? "skep", record.networkLink)
    joined(network)
    try {
      const shares = await orAborted(sharesReady(serving, vsock, report), limit)
      await orAborted(network.ready(), limit)
      const served = shares === undefined ? { ...record, shares: [] } : record
      await prepareSeed(paths, served, await context.keys(), await network.hostAddress())
      const options = await describeMachine(home, paths, record, image, {
        vsock: vsock !== undefined,
        shares: shares !== undefined,
        network: network.describe(),
      })
      return await startLauncher(booting, options, {
        report,
        signal: limit,
        network: () => network,
        vsock: () => vsock,
        shares: () => shares,
      })
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw withDetail(
        error,
        await consoleTail(paths.consoleLog, CONSOLE_LINES),
        `See skep logs ${record.name}, and skep doctor`,
      )
    }
  })
  return { vm, record }
}

/** The guest is told of its shares over its vsock: without that there are none. */
async function sharesReady(
  serving: MachineShares | undefined,
  vsock: MachineVsock | undefined,
  report: Report,
): Promise<MachineShares | undefined> {
  if (vsock !== undefined || serving === undefined) return await serving?.ready(report)
  await serving[Symbol.asyncDispose]()
  report({ type: "note", text: "this machine gets no shared directories, as it has no vsock" })
  return undefined
}

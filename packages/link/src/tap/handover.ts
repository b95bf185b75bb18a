/**
 * What the program that opens a device for us says, over a Unix socket: one message of JSON, and with it the descriptors of the device and of a socket
 * of its namespace.
 *
 * @module
 */
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { TapDevice, TapOptions } from "./device.ts"

/** The descriptor that the program finds its socket at. */
export const HANDOVER_FD = 3

const LARGEST = 4096

export type Handover =
  | Pick<TapDevice, "interfaceName" | "mtu" | "vnetHeader" | "cutsUdp">
  | { readonly error: string; readonly syscall?: string; readonly errno?: number }

/** Options as JSON has them. */
export type Asked = Omit<TapOptions, "netns" | "hardwareAddress"> & {
  readonly hardwareAddress?: readonly number[]
}

/** Throws the `SystemError` of sendmsg. */
export function handOver(socket: number, what: Handover, fds: readonly number[]): void {
  using scratch = new Scratch(2 * LARGEST)
  const { address, bytes } = scratch.region("text", LARGEST)
  const iovecs = new Iovecs(scratch, "iovecs", 1)
  const message = new Message(scratch, "message", 2)
  const { written } = new TextEncoder().encodeInto(JSON.stringify(what), bytes)
  iovecs.push(address, written)
  message.prepareSend(iovecs, fds)
  sys.check(sys.sendMessage(socket, message.header), "sendmsg")
}

/** What was handed over, as JSON, and its descriptors, the caller's now; undefined where nothing was. */
export function takeOver(
  socket: number,
): { readonly text: string; readonly fds: readonly number[] } | undefined {
  using scratch = new Scratch(2 * LARGEST)
  const { address, bytes } = scratch.region("text", LARGEST)
  const iovecs = new Iovecs(scratch, "iovecs", 1)
  const message = new Message(scratch, "message", 2)
  iovecs.push(address, LARGEST)
  message.prepareReceive(iovecs)
  const got = sys.receiveMessage(socket, message.header, sys.MSG_DONTWAIT)
  if (got <= 0) return undefined
  const fds: number[] = []
  message.takeFds(fds)
  return { text: new TextDecoder().decode(bytes.subarray(0, got)), fds }
}

/**
 * Device strings of other programs as options of this one: each adds what it says, and none may contradict another or the options beside it.
 *
 *     virtio-sock,…    xhyve, HyperKit    guestCid, directory, guestForwards
 *     virtio-vsock,…   vfkit              one of ports
 *     {…}              Firecracker        guestCid, udsPath
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type PortMap, parseFirecracker, parseHyperkit, parseVfkit } from "./option-string.ts"

/** What a device string says. */
interface Said {
  readonly guestCid?: number
  readonly directory?: string
  readonly udsPath?: string
  readonly guestForwards?: readonly number[]
  readonly ports?: readonly PortMap[]
}

/** There is one of each in a device, so two that differ are a contradiction. */
const SINGLE = ["guestCid", "directory", "udsPath"] as const
/** The others add up. */
const MANY = ["guestForwards", "ports"] as const

/** `options` with all that `devices` say. Throws "bad-options". What `options` has is not checked here. */
export function addDevices(
  options: Readonly<Record<string, unknown>>,
  devices: readonly string[],
): Readonly<Record<string, unknown>> {
  const all = new Map(Object.entries(options))
  for (const device of devices) {
    const said = readDevice(device)
    for (const name of SINGLE) {
      const before = all.get(name)
      const value = said[name]
      if (value === undefined) continue
      if (before !== undefined && before !== value) throw contradiction(device, name, before)
      all.set(name, value)
    }
    for (const name of MANY) {
      const before = all.get(name) ?? []
      // What is no list is refused by whoever checks the options.
      if (said[name] !== undefined && Array.isArray(before)) all.set(name, [...before, ...said[name]])
    }
  }
  return Object.fromEntries(all)
}

/** Told apart by the driver's name, or by the names of its parts where that is missing. */
function readDevice(device: string): Said {
  if (device.trimStart().startsWith("{")) return parseFirecracker(decode(device))
  if (/^(virtio-vsock(,|$)|(port|socketURL)=|(listen|connect)(,|$))/.test(device))
    return { ports: [parseVfkit(device)] }
  if (/^(virtio-sock(,|$)|(guest_cid|path|guest_forwards)=)/.test(device)) return parseHyperkit(device)
  throw new SidecarError(
    "bad-options",
    `Cannot use the vsock device "${device}": it begins with none of virtio-sock (xhyve, HyperKit), virtio-vsock (vfkit), { (Firecracker)`,
  )
}

function decode(device: string): unknown {
  try {
    return JSON.parse(device)
  } catch (cause) {
    throw new SidecarError("bad-options", `Cannot use the vsock device "${device}": it is not JSON`, {
      cause,
    })
  }
}

function contradiction(device: string, name: string, before: unknown): SidecarError {
  return new SidecarError(
    "bad-options",
    `Cannot use the vsock device "${device}": its ${name} is not "${String(before)}", which was said before`,
    { next: "Describe one guest only, or leave out one of the two" },
  )
}

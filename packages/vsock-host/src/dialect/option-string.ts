/**
 * How other programs are told of their vsock device, read into what this one calls the same things:
 *
 *     xhyve, HyperKit   virtio-sock,guest_cid=3,path=/run/vsock,guest_forwards=2376;1525
 *     vfkit             virtio-vsock,port=5,socketURL=/run/a.sock,connect     (crc-org/vfkit doc/usage.md)
 *     Firecracker       {"guest_cid": 3, "uds_path": "/run/v.sock"}           (PUT /vsock)
 *
 * The driver's name in front may be missing. All throw "bad-options" with the part that they cannot use.
 *
 * @module
 */
import { inspect } from "node:util"
import { SidecarError } from "@skep/contract"
import * as z from "zod"
import { CID_HOST, CID_MAX, PORT_MAX } from "./address.ts"

/** VTSOCK_MAXFWDS of HyperKit. */
const FORWARDS_MAX = 4

export interface HyperkitDevice {
  readonly guestCid: number
  readonly directory: string
  readonly guestForwards: readonly number[]
}

/**
 * "listen", vfkit's default: a host program listens on `path`, and the guest's connects to the host's `port` get there.
 * "connect": the bridge listens on `path`, and each client there is connected to the guest's `port`.
 */
export interface PortMap {
  readonly port: number
  readonly path: string
  readonly mode: "listen" | "connect"
}

export interface FirecrackerDevice {
  readonly guestCid: number
  readonly udsPath: string
}

/** A later option overrides an earlier one, as in HyperKit. */
export function parseHyperkit(text: string): HyperkitDevice {
  let guestCid: number | undefined
  let directory: string | undefined
  let guestForwards: readonly number[] = []
  for (const part of parts(text, "virtio-sock")) {
    const [name, value] = pair(part)
    if (name === "guest_cid") guestCid = parseCid(text, value)
    else if (name === "path" && value !== "") directory = value
    else if (name === "guest_forwards") guestForwards = parseForwards(text, value)
    else throw refusal(text, `"${part}" is not one of guest_cid=N, path=DIR, guest_forwards=P1;P2`)
  }
  if (guestCid === undefined || directory === undefined) {
    throw refusal(text, "guest_cid and path are both required")
  }
  return { guestCid, directory, guestForwards }
}

export function parseVfkit(text: string): PortMap {
  let port: number | undefined
  let path: string | undefined
  let mode: PortMap["mode"] = "listen"
  for (const part of parts(text, "virtio-vsock")) {
    const [name, value] = pair(part)
    if (name === "port") port = checkPort(text, value, decimal(value))
    else if (name === "socketURL") path = parseSocketUrl(text, value)
    else if (part === "listen" || part === "connect") mode = part
    else throw refusal(text, `"${part}" is not one of port=N, socketURL=/PATH, listen, connect`)
  }
  if (port === undefined || path === undefined) throw refusal(text, "port and socketURL are both required")
  return { port, path, mode }
}

const Firecracker = z.strictObject({
  vsock_id: z.string().exactOptional(),
  guest_cid: z
    .int()
    .min(CID_HOST + 1)
    .max(CID_MAX),
  uds_path: z.string().min(1),
})

/** `input` is the decoded body. */
export function parseFirecracker(input: unknown): FirecrackerDevice {
  const parsed = Firecracker.safeParse(input)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const field = issue?.path.join(".") ?? ""
    const shown = inspect(input, { depth: 1, breakLength: Number.POSITIVE_INFINITY })
    throw refusal(shown.slice(0, 200), `${field === "" ? "" : `${field}: `}${issue?.message ?? "not valid"}`)
  }
  return { guestCid: parsed.data.guest_cid, udsPath: parsed.data.uds_path }
}

function parts(text: string, driver: string): readonly string[] {
  const all = text.split(",")
  return all[0] === driver ? all.slice(1) : all
}

function pair(part: string): readonly [name: string, value: string] {
  const equals = part.indexOf("=")
  return equals === -1 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)]
}

/** Decimal, as HyperKit's atoi has it. */
function parseCid(text: string, value: string): number {
  const cid = decimal(value)
  if (cid > CID_HOST && cid <= CID_MAX) return cid
  throw refusal(text, `guest_cid is "${value}", and must be a number from ${CID_HOST + 1} to ${CID_MAX}`)
}

/** Each as strtoul with base 0 takes it: decimal, 0x and hex digits, 0 and octal digits. */
function parseForwards(text: string, value: string): readonly number[] {
  const items = value.split(";")
  // HyperKit's loop stops at the end of the text, so a last semicolon adds nothing.
  if (items.at(-1) === "") items.pop()
  if (items.length > FORWARDS_MAX) {
    throw refusal(text, `guest_forwards has ${items.length} ports, and may have ${FORWARDS_MAX}`)
  }
  const ports = items.map((item) => checkPort(text, item, strtoul(item)))
  if (new Set(ports).size < ports.length) throw refusal(text, "guest_forwards has a port twice")
  return ports
}

/** With base 0; NaN where anything else stands there. */
function strtoul(text: string): number {
  if (/^0[0-7]{1,11}$/.test(text)) return Number.parseInt(text, 8)
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number(text)
  return text.length > 1 && text.startsWith("0") ? Number.NaN : decimal(text)
}

function decimal(text: string): number {
  return /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN
}

function checkPort(text: string, value: string, port: number): number {
  if (port >= 0 && port <= PORT_MAX) return port
  throw refusal(text, `"${value}" is not a port from 0 to ${PORT_MAX}`)
}

function parseSocketUrl(text: string, value: string): string {
  if (value.startsWith("/")) return value
  throw refusal(text, `socketURL is "${value}", and must be an absolute path`)
}

function refusal(text: string, reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot use the vsock device "${text}": ${reason}`)
}

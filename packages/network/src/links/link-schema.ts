/**
 * Links from outside: in a file, over the control socket, as words of a command line.
 *
 * @module
 */
import * as z from "zod"
import { canonicalAddress, canonicalMac } from "../addressing/address.ts"
import { badOptions, parsed } from "../bad-options.ts"
import { checkSocket } from "../refused-path.ts"
import { type GatewayService, type LinkSpec, SERVICES_MAX } from "./link-spec.ts"

/** RFC 791 and RFC 8200 want no less of a link that carries both; 65,520 is what QEMU and virtio take. */
const MTU_MIN = 1280
const MTU_MAX = 65_520

const IFNAMSIZ = 16

/** Names of the gateway's own, under the network's domain. */
const TAKEN_NAMES: readonly string[] = ["host", "gateway"]

/** An absolute path without what would end or hide part of it. */
export const absolutePath: z.ZodString = z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path")

/** A name of DNS, one label, that is not one of the gateway's. */
export const machineName: z.ZodType<string> = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must be one label of DNS: letters, digits, dashes")
  .refine((name) => !TAKEN_NAMES.includes(name), "is the gateway's own name")

export const mac: z.ZodType<string> = z.string().transform((text, context) => {
  const canonical = canonicalMac(text)
  if (canonical === undefined) context.addIssue("is no MAC address of one station")
  return canonical ?? z.NEVER
})

export const ipAddress: z.ZodType<string> = z.string().transform((text, context) => {
  const canonical = canonicalAddress(text)
  if (canonical === undefined) context.addIssue("is no IP address")
  return canonical ?? z.NEVER
})

export const mtu: z.ZodInt = z.int().min(MTU_MIN).max(MTU_MAX)

const DNS = 53

const service: z.ZodType<GatewayService> = z.strictObject({
  port: z
    .int()
    .min(1)
    .max(65_535)
    .refine((port) => port !== DNS, "is the gateway's own: it answers DNS there"),
  socket: absolutePath,
})

const any = {
  machine: machineName,
  mac: mac.exactOptional(),
  mtu: mtu.exactOptional(),
  services: z
    .array(service)
    .max(SERVICES_MAX)
    .refine(
      (services) => new Set(services.map(({ port }) => port)).size === services.length,
      "have a port twice",
    )
    .exactOptional(),
}

export const LinkSchema: z.ZodType<LinkSpec> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("vhost-user"), socket: absolutePath, ...any }),
  z.strictObject({ kind: z.literal("qemu"), socket: absolutePath, ...any }),
  z.strictObject({
    kind: z.literal("tap"),
    interface: z
      .string()
      .refine(
        isInterfaceName,
        "is no name of an interface: 1 to 15 bytes without a slash, a colon or a space",
      ),
    netns: z.union([absolutePath, z.int().min(1)]).exactOptional(),
    ...any,
  }),
])

/** IFNAMSIZ is 16 with its zero; the kernel takes neither slashes, spaces, colons nor what names a directory, and puts a number for a percent sign. */
function isInterfaceName(name: string): boolean {
  return /^[^\s\0/:%]+$/.test(name) && name !== "." && name !== ".." && Buffer.byteLength(name) < IFNAMSIZ
}

/** Checks a link from outside. Throws "bad-options", or "path-too-long". */
export function parseLinkSpec(input: unknown): LinkSpec {
  const spec = parsed(LinkSchema, input, "link")
  checkLink(spec)
  return spec
}

/** Throws "path-too-long" for a socket that could not be bound. */
export function checkLink(spec: LinkSpec): void {
  if (spec.kind !== "tap") checkSocket(spec.socket)
  for (const { socket } of spec.services ?? []) checkSocket(socket)
}

/** `NAME=SOCKET`. Throws "bad-options". */
export function socketLinkOf(kind: "vhost-user" | "qemu", text: string): unknown {
  const parts = /^([^=/]+)=(.+)$/.exec(text)
  if (parts === null) throw badOptions(`the link "${text}": it is not NAME=SOCKET`)
  return { kind, machine: parts[1], socket: parts[2] }
}

/** `[NAME=]INTERFACE[@NETNS]`, where NETNS is a path or the id of a process; the machine is named after the interface unless told. */
export function tapLinkOf(text: string): unknown {
  const parts = /^(?:([^=/@]+)=)?([^@]+)(?:@(.+))?$/.exec(text)
  const [, name, interfaceName, netns] = parts ?? []
  if (interfaceName === undefined) throw badOptions(`the link "${text}": it is not INTERFACE[@NETNS]`)
  return {
    kind: "tap",
    machine: name ?? interfaceName.toLowerCase(),
    interface: interfaceName,
    ...(netns === undefined ? {} : { netns: /^\d+$/.test(netns) ? Number(netns) : netns }),
  }
}

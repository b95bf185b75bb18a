/**
 * What the kernel refuses of a TAP interface, as one sentence with a code and what to do: Linux Documentation/networking/tuntap.rst, setns(2),
 * netdevice(7).
 *
 * ```
 *  open NETNS ─► setns ─► open /dev/net/tun ─► TUNSETIFF ─► SIOCSIF…: MTU, up
 * ```
 *
 * @module
 */
import { type ErrorCode, SidecarError } from "@skep/contract"
import { SystemError } from "@skep/loop/sys"
import type { TapLink } from "./link-spec.ts"

interface Reason {
  readonly code: ErrorCode
  readonly why: string
  readonly next: string
}

const DEVICE = "/dev/net/tun"
const NO_RIGHT: ReadonlySet<string> = new Set(["EPERM", "EACCES"])

/** Anything but the error of a system call is returned as it was. */
export function tapRefusal(spec: TapLink, error: unknown): unknown {
  if (!(error instanceof SystemError)) return error
  const reason = reasonOf(spec, error)
  if (reason === undefined) return error
  const { code, why, next } = reason
  return new SidecarError(code, `Cannot open the interface "${spec.interface}": ${why}`, {
    cause: error,
    next,
  })
}

function reasonOf(spec: TapLink, error: SystemError): Reason | undefined {
  switch (error.syscall) {
    case "open":
      return error.message.endsWith(DEVICE) ? deviceReason(error) : namespaceReason(spec, error)
    case "setns":
      return namespaceReason(spec, error)
    case "TUNSETIFF":
      return attachReason(spec, error)
    default:
      return setUpReason(spec, error)
  }
}

function deviceReason({ code }: SystemError): Reason | undefined {
  if (NO_RIGHT.has(code)) {
    return {
      code: "permission-denied",
      why: `this user may not use ${DEVICE}`,
      next: `Give this user access to ${DEVICE}, or use --qemu or --vhost-user`,
    }
  }
  if (code === "EMFILE" || code === "ENFILE") return undefined
  return {
    code: "unsupported",
    why: `there is no ${DEVICE} (${code})`,
    next: "Load the kernel's module: modprobe tun",
  }
}

function namespaceReason({ netns }: TapLink, { code, syscall }: SystemError): Reason | undefined {
  const process = typeof netns === "number"
  const namespace = process
    ? `the network namespace of the process ${netns}`
    : `the network namespace "${netns}"`
  if (NO_RIGHT.has(code)) {
    return {
      code: "permission-denied",
      why: `this user may not enter ${namespace}`,
      next: "Start this as root, or in the user namespace that it belongs to: nsenter --user --preserve-credentials --target PID",
    }
  }
  if (code === "EMFILE" || code === "ENFILE") return undefined
  const listed = process ? "Use the id of a process that runs" : "See what is there: ls /run/netns"
  if (syscall === "setns")
    return { code: "bad-options", why: `"${netns}" is no network namespace`, next: listed }
  return { code: "not-found", why: `there is no ${namespace.replace(/^the /, "")}`, next: listed }
}

function attachReason({ interface: name }: TapLink, { code }: SystemError): Reason | undefined {
  if (NO_RIGHT.has(code)) {
    return {
      code: "permission-denied",
      why: "this user may neither make it nor take it",
      next: `Start this as root, or have root make it before: ip tuntap add ${name} mode tap user USER && ip link set ${name} up`,
    }
  }
  if (code === "EBUSY") {
    return {
      code: "busy",
      why: "another program has it open",
      next: "Stop that one, or choose another interface",
    }
  }
  if (code === "EINVAL") {
    return {
      code: "exists",
      why: "an interface of that name is there which is no TAP interface, or one of several queues",
      next: "Choose another name",
    }
  }
  return undefined
}

function setUpReason({ interface: name, mtu }: TapLink, { code, syscall }: SystemError): Reason | undefined {
  if (NO_RIGHT.has(code)) {
    return {
      code: "permission-denied",
      why: `this user may not change it (${syscall})`,
      next: `Start this as root, or have root do it before: ip link set ${name} mtu ${mtu ?? "MTU"} up`,
    }
  }
  if (code === "ENODEV") {
    return { code: "not-found", why: "it was removed meanwhile", next: "Start again" }
  }
  if (code !== "EINVAL") return undefined
  return { code: "bad-options", why: `it does not take that (${syscall})`, next: "Choose another MTU" }
}

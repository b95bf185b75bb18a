// What a user reads where the kernel refuses a TAP interface.

import type { ErrorCode } from "@skep/contract"
import { errnoOf, SystemError } from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import type { TapLink } from "../../src/links/link-spec.ts"
import { tapRefusal } from "../../src/links/tap-refusal.ts"

const TAP: TapLink = { kind: "tap", machine: "box", interface: "tap0" }
const TUN = "/dev/net/tun"
const BOX = "/run/netns/box"

interface Case {
  readonly refused: readonly [syscall: string, errno: string, detail: string]
  readonly netns?: string | number
  readonly code: ErrorCode
  readonly why: string
}

const cases: readonly Case[] = [
  {
    refused: ["open", "ENOENT", BOX],
    netns: BOX,
    code: "not-found",
    why: `there is no network namespace "${BOX}"`,
  },
  {
    refused: ["open", "ENOENT", "/proc/7/ns/net"],
    netns: 7,
    code: "not-found",
    why: "there is no network namespace of the process 7",
  },
  {
    refused: ["open", "EACCES", "/proc/7/ns/net"],
    netns: 7,
    code: "permission-denied",
    why: "this user may not enter the network namespace of the process 7",
  },
  {
    refused: ["setns", "EINVAL", "/etc"],
    netns: "/etc",
    code: "bad-options",
    why: '"/etc" is no network namespace',
  },
  {
    refused: ["setns", "EPERM", BOX],
    netns: BOX,
    code: "permission-denied",
    why: `this user may not enter the network namespace "${BOX}"`,
  },
  { refused: ["open", "ENOENT", TUN], code: "unsupported", why: `there is no ${TUN} (ENOENT)` },
  {
    refused: ["open", "EACCES", TUN],
    netns: BOX,
    code: "permission-denied",
    why: `this user may not use ${TUN}`,
  },
  {
    refused: ["TUNSETIFF", "EPERM", "tap0"],
    code: "permission-denied",
    why: "this user may neither make it nor take it",
  },
  { refused: ["TUNSETIFF", "EBUSY", "tap0"], code: "busy", why: "another program has it open" },
  {
    refused: ["TUNSETIFF", "EINVAL", "tap0"],
    code: "exists",
    why: "an interface of that name is there which is no TAP interface, or one of several queues",
  },
  {
    refused: ["SIOCSIFMTU", "EPERM", "tap0"],
    code: "permission-denied",
    why: "this user may not change it (SIOCSIFMTU)",
  },
  {
    refused: ["SIOCSIFMTU", "EINVAL", "tap0"],
    code: "bad-options",
    why: "it does not take that (SIOCSIFMTU)",
  },
]

describe("tapRefusal()", () => {
  it.each(cases)("says that $why", ({ refused: [syscall, errno, detail], netns, code, why }) => {
    const error = new SystemError(syscall, errnoOf(errno) ?? 0, detail)
    const spec = netns === undefined ? TAP : { ...TAP, netns }
    expect(tapRefusal(spec, error)).toMatchObject({
      code,
      message: `Cannot open the interface "tap0": ${why}`,
      next: expect.stringMatching(/^[A-Z]/),
      cause: error,
    })
  })

  it.each([
    new Error("a bug of ours"),
    new SystemError("open", errnoOf("EMFILE") ?? 0, TUN),
    new SystemError("socket", errnoOf("ENOMEM") ?? 0),
  ])("leaves others as they are: %s", (error) => {
    expect(tapRefusal(TAP, error)).toBe(error)
  })
})

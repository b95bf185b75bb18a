import { describe, expect, it } from "vitest"
import { candidatesIn, type Situation } from "../../src/accelerator/candidates.ts"

const linux: Situation = { requested: "auto", platform: "linux", kvmOpens: true, verdict: undefined }
const tcg = { accelerator: "tcg", trusted: true }
const kvmFailed = { proven: "tcg", failed: [{ accelerator: "kvm", reason: "silent" }] } as const

describe("candidatesIn()", () => {
  it.each([
    ["a new host with KVM", linux, [{ accelerator: "kvm", trusted: false }, tcg]],
    ["a new host without", { ...linux, kvmOpens: false }, [tcg]],
    [
      "a new Mac",
      { ...linux, platform: "darwin", kvmOpens: false },
      [{ accelerator: "hvf", trusted: false }, tcg],
    ],
    [
      "a host where KVM is proven",
      { ...linux, verdict: { proven: "kvm", failed: [] } },
      [{ accelerator: "kvm", trusted: true }, tcg],
    ],
    ["a host where KVM failed", { ...linux, verdict: kvmFailed }, [tcg]],
    [
      "a host where KVM was missing and opens now",
      { ...linux, verdict: { proven: "tcg", failed: [] } },
      [{ accelerator: "kvm", trusted: false }, tcg],
    ],
    ["KVM by name", { ...linux, requested: "kvm" }, [{ accelerator: "kvm", trusted: false }]],
    [
      "KVM by name where it failed",
      { ...linux, requested: "kvm", verdict: kvmFailed },
      [{ accelerator: "kvm", trusted: false }],
    ],
    [
      "KVM by name where it is proven",
      { ...linux, requested: "kvm", verdict: { proven: "kvm", failed: [] } },
      [{ accelerator: "kvm", trusted: true }],
    ],
    ["emulation by name", { ...linux, requested: "tcg" }, [tcg]],
  ] as const)("on %s", (_name, situation, expected) => {
    expect(candidatesIn(situation)).toEqual(expected)
  })
})

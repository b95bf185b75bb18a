/**
 * Whose owners are asked for, and what is said where there are none.
 *
 * @module
 */
import type { ShareRule } from "@skep/contract"
import type { ShareOwners } from "@skep/shares/client"
import { describe, expect, test } from "vitest"
import { type OwnersSource, ownersOf } from "../../src/backend/share-owners.ts"
import type { MachineShares } from "../../src/backend/vm/shares/machine-shares.ts"

const never = new AbortController().signal

function rule(path: string, more: Partial<ShareRule> = {}): ShareRule {
  return { path, target: path, readOnly: false, cache: "consistent", ownership: "virtual", ...more }
}

const KEPT: ShareOwners = {
  export: () => Promise.reject(new Error("nobody asked")),
  import: () => Promise.reject(new Error("nobody asked")),
}

function served(provider: MachineShares["provider"], owners: ShareOwners | undefined): MachineShares {
  const shares: Pick<MachineShares, "provider" | "owners"> = { provider, owners: async () => owners }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is asked of it
  return shares as MachineShares
}

const source: OwnersSource = {
  name: "m",
  rules: [rule("/a"), rule("/host", { target: "/there" }), rule("/real", { ownership: "real" })],
  running: served("skep", KEPT),
}

async function find(named: string, more: Partial<OwnersSource> = {}) {
  return await ownersOf({ ...source, ...more }, named, "export the owners of", never)
}

describe("ownersOf()", () => {
  test.each([
    ["/a", "/a"],
    ["/there", "/there"],
    ["/host", "/there"],
  ])("finds the share %s", async (named, target) => {
    expect(await find(named)).toEqual({ owners: KEPT, target })
  })

  test.each<[string, Partial<OwnersSource>, string, string, RegExp]>([
    ["/none", {}, "not-found", 'Cannot find a share "/none": there is none', /skep share ls/],
    [
      "/real",
      {},
      "unsupported",
      'Cannot export the owners of "/real": it is shared with --ownership real, so owners are those of this host',
      /tar/,
    ],
    [
      "/a",
      { running: undefined },
      "not-running",
      'Cannot export the owners of "/a": the machine "m" does not run',
      /^Start it with skep up m$/,
    ],
    [
      "/a",
      { running: "none" },
      "not-running",
      'Cannot export the owners of "/a": this run of the machine has no shares',
      /skep logs m/,
    ],
    [
      "/host",
      { running: served("virtiofsd", undefined) },
      "unsupported",
      'Cannot export the owners of "/there": virtiofsd keeps none but those of this host',
      /skep restart m --shares skep/,
    ],
  ])("says of %s with %j why there are none", async (named, more, code, message, next) => {
    await expect(find(named, more)).rejects.toMatchObject({
      code,
      message,
      next: expect.stringMatching(next) as string,
    })
  })
})

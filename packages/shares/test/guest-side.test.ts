import { type ShareCache, SidecarError } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import type { Place } from "../src/guest/index.ts"
import { type GuestPart, GuestSide, type Mount } from "../src/guest-side.ts"

/** A guest that does what it is told, or refuses what it is told to refuse. */
class FakeGuest implements GuestPart {
  readonly said: string[] = []
  announced = 0
  refuses: (what: string) => boolean = () => false
  /** What it does not answer in time. */
  late: (what: string) => boolean = () => false
  onReady: () => void = () => undefined
  onLost: () => void = () => undefined

  async mount(how: Parameters<GuestPart["mount"]>[0]): Promise<void> {
    this.#do(`mount ${how.kind}`)
  }

  async attach(id: string, { path, ageS }: Place): Promise<void> {
    this.#do(`attach ${id} ${path} ${ageS}`)
  }

  async bind(id: string, target: string, readOnly: boolean): Promise<void> {
    this.#do(`bind ${id} ${target} ${readOnly ? "ro" : "rw"}`)
  }

  async unbind(target: string): Promise<void> {
    this.#do(`unbind ${target}`)
  }

  async announce(): Promise<void> {
    this.announced++
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.said.push("over")
  }

  #do(what: string): void {
    this.said.push(what)
    if (this.late(what)) throw new SidecarError("timeout", `Cannot ${what} within 30 s`)
    if (this.refuses(what)) throw new Error(`no ${what}`)
  }
}

const VIRTIOFS = { kind: "virtiofs", tag: "skep", reason: "it is fast" } as const
const NFS = { kind: "nfs", address: "10.0.0.1", port: 2049, reason: "there is nothing else" } as const

interface Rig {
  readonly guest: FakeGuest
  readonly side: GuestSide
  readonly events: string[]
  /** Resolves when all that was begun is done. */
  readonly settled: () => Promise<void>
}

function newRig(mounts: readonly (Mount & { reason: string })[] = [VIRTIOFS, NFS]): Rig {
  const guest = new FakeGuest()
  const events: string[] = []
  const side = new GuestSide({
    open: ({ onReady, onLost }) => {
      guest.onReady = onReady
      guest.onLost = onLost
      return guest
    },
    mounts,
    context: {
      log: silentLog,
      emit: ({ type, ...rest }) => void events.push(`${type} ${String(rest["target"])}`),
    },
  })
  const settled = async (): Promise<void> => {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  return { guest, side, events, settled }
}

function share(number: number, target: string, readOnly = false, cache: ShareCache = "consistent") {
  return { number, rule: { path: target, target, readOnly, cache } }
}

describe("GuestSide", () => {
  it("waits for a guest, and tells each one all of it", async () => {
    const { guest, side, events, settled } = newRig()
    await side.put(share(1, "/a"))
    await side.put(share(2, "/b", true))
    expect([guest.said, side.ready, side.has(1)]).toEqual([[], false, false])
    guest.onReady()
    await settled()
    const all = ["mount virtiofs", "bind 1 /a rw", "bind 2 /b ro"]
    expect(guest.said).toEqual(all)
    expect([side.ready, side.has(1), side.has(2)]).toEqual([true, true, true])
    expect(side.choice).toEqual({ protocol: "virtiofs", reason: "it is fast" })
    expect(events).toEqual(["share-mounted /a", "share-mounted /b"])
    guest.onLost()
    expect(side.ready).toBe(false)
    guest.onReady()
    await settled()
    expect(guest.said).toEqual([...all, ...all])
    expect(guest.announced).toBe(2)
  })

  it("puts and removes in a guest that is there", async () => {
    const { guest, side, settled } = newRig()
    guest.onReady()
    await settled()
    await side.put(share(1, "/a"))
    await side.put(share(1, "/a"))
    await side.put(share(1, "/a", true))
    await side.remove("/a")
    await side.remove("/a")
    expect(guest.said).toEqual(["mount virtiofs", "bind 1 /a rw", "unbind /a", "bind 1 /a ro", "unbind /a"])
    expect(side.has(1)).toBe(false)
  })

  it("rejects with what the guest says, and keeps the reason", async () => {
    const { guest, side, settled } = newRig()
    guest.onReady()
    await settled()
    guest.refuses = (what) => what.startsWith("bind 1")
    await expect(side.put(share(1, "/a"))).rejects.toThrow("no bind 1 /a rw")
    expect(side.failureOf(1)).toBe("no bind 1 /a rw")
    guest.refuses = () => false
    await side.put(share(1, "/a"))
    expect([side.has(1), side.failureOf(1)]).toEqual([true, undefined])
  })

  it("takes the next way where the guest has not the first, and says why", async () => {
    const { guest, side, settled } = newRig()
    guest.refuses = (what) => what === "mount virtiofs"
    await side.put(share(1, "/a"))
    guest.onReady()
    await settled()
    expect(guest.said).toEqual(["mount virtiofs", "mount nfs", "bind 1 /a rw"])
    expect(side.choice).toEqual({
      protocol: "nfs",
      reason: "there is nothing else, since no mount virtiofs",
    })
  })

  it("attaches each share where it comes from another server, anew where it may be believed for another time", async () => {
    const placeOf = ({ path, cache }: { path: string; cache: ShareCache }): Place => ({
      address: "10.0.0.1",
      port: 2049,
      mountPort: 20_048,
      ageS: cache === "cached" ? 1 : 0,
      path: `/exported${path}`,
    })
    const { guest, side, settled } = newRig([{ kind: "exports", placeOf, reason: "it was asked for" }])
    await side.put(share(1, "/a"))
    guest.onReady()
    await settled()
    expect(side.choice).toEqual({ protocol: "exports", reason: "it was asked for" })
    await side.put(share(1, "/a"))
    await side.put(share(1, "/a", false, "cached"))
    await side.remove("/a")
    expect(guest.said).toEqual(
      [
        ["mount exports", "attach 1 /exported/a 0", "bind 1 /a rw"],
        ["unbind /a", "attach 1 /exported/a 1", "bind 1 /a rw", "unbind /a"],
      ].flat(),
    )
    guest.refuses = (what) => what.startsWith("attach 2")
    await expect(side.put(share(2, "/b"))).rejects.toThrow("no attach 2")
    expect(side.failureOf(2)).toBe("no attach 2 /exported/b 0")
  })

  it("asks a slow guest again, for the same and only for what is not there, and tells it each time to go on", async () => {
    const { guest, side, settled } = newRig()
    let asked = 0
    guest.late = (what) => what === "mount virtiofs" && ++asked < 3
    await side.put(share(1, "/a"))
    await side.put(share(2, "/b"))
    guest.onReady()
    await settled()
    const mounts = ["mount virtiofs", "mount virtiofs", "mount virtiofs"]
    expect(guest.said).toEqual([...mounts, "bind 1 /a rw", "bind 2 /b rw"])
    expect([side.has(1), side.failureOf(1), guest.announced]).toEqual([true, undefined, 3])
    guest.late = (what) => what === "bind 2 /b rw" && ++asked < 5
    guest.said.length = 0
    guest.onReady()
    await settled()
    const binds = ["bind 1 /a rw", "bind 2 /b rw", "mount virtiofs", "bind 2 /b rw"]
    expect(guest.said).toEqual(["mount virtiofs", ...binds])
    expect([side.has(2), side.failureOf(2)]).toEqual([true, undefined])
  })

  it("gives up a guest that never answers, and one that is lost meanwhile", async () => {
    const { guest, side, settled } = newRig()
    guest.late = (what) => what === "mount virtiofs"
    await side.put(share(1, "/a"))
    guest.onReady()
    await settled()
    expect(guest.said).toHaveLength(20)
    expect(side.failureOf(1)).toBe("Cannot mount virtiofs within 30 s")
    guest.said.length = 0
    guest.late = () => {
      queueMicrotask(() => guest.onLost())
      return true
    }
    guest.onReady()
    await settled()
    expect(guest.said).toHaveLength(1)
    expect(side.ready).toBe(false)
  })

  it("takes away what was not bound in time: the guest may have done it since", async () => {
    const { guest, side, settled } = newRig()
    guest.onReady()
    await settled()
    guest.late = (what) => what === "bind 1 /a rw"
    await expect(side.put(share(1, "/a"))).rejects.toMatchObject({ code: "timeout" })
    await side.remove("/a")
    expect(guest.said).toEqual(["mount virtiofs", "bind 1 /a rw", "unbind /a"])
  })

  it("says of every share that nothing can be mounted", async () => {
    const { guest, side, settled } = newRig()
    guest.refuses = (what) => what.startsWith("mount")
    await side.put(share(1, "/a"))
    guest.onReady()
    await settled()
    expect(side.failureOf(1)).toBe("no mount nfs")
    await expect(side.put(share(2, "/b"))).rejects.toThrow("no mount nfs")
  })

  it("removes what the guest does not let go of, all the same", async () => {
    const { guest, side, settled } = newRig()
    await side.put(share(1, "/a"))
    guest.onReady()
    await settled()
    guest.refuses = (what) => what.startsWith("unbind")
    await side.remove("/a")
    expect(side.has(1)).toBe(false)
    await side[Symbol.asyncDispose]()
    expect(guest.said.at(-1)).toBe("over")
  })
})

import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { SidecarError } from "@skep/contract"
import { tryLock } from "@skep/runtime/lock"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { nodeDisk } from "../../src/file/disk.ts"
import { bootpd as format } from "../../src/formats/bootpd.ts"
import { removeLeases } from "../../src/janitor/remove.ts"
import { Keys } from "../../src/plan/keys.ts"
import type { LeaseServer } from "../../src/servers/server.ts"
import { MemoryDisk } from "../file/memory-disk.ts"

const PATH = "/var/db/dhcpd_leases"
const END = 0x6b49d200

function block(place: number, expires = END): string {
  return `{\n\tip_address=192.168.64.${place}\n\thw_address=1,52:54:0:0:0:${place}\n\tlease=0x${expires.toString(16)}\n}\n`
}

function rig(server: Partial<LeaseServer>, ...places: readonly number[]) {
  const disk = new MemoryDisk()
  const put = (text: string): void => disk.put(PATH, new TextEncoder().encode(text))
  put(places.map((place) => block(place)).join(""))
  const { leases } = format.parse(disk.content(PATH) ?? new Uint8Array(), PATH)
  const named = new Keys({ leases })
  const keys = leases.map((lease) => named.of(lease))
  const all: LeaseServer = {
    name: "test",
    title: "the server",
    places: [],
    whileRunning: "edit",
    next: "Stop it",
    isRunning: async () => true,
    ...server,
  }
  const remove = (inUse?: "stays") =>
    removeLeases(PATH, new Set(keys), {
      format,
      disk,
      server: all,
      host: { run: async () => "", root: "/", platform: "linux" },
      now: () => END,
      signal: new AbortController().signal,
      wait: async () => undefined,
      ...(inUse === undefined ? {} : { inUse }),
    })
  return { disk, put, keys, remove }
}

/** A file of the host, whose lock somebody has who is about to change it. */
async function lockedByAnother() {
  const directory = await temporaryDirectory()
  const path = directory.at("dhcpd_leases")
  writeFileSync(path, block(5) + block(6))
  const { leases } = format.parse(readFileSync(path), path)
  const named = new Keys({ leases })
  const [key = ""] = leases.map((lease) => named.of(lease))
  const lock = tryLock(`${path}.skep-lock`)
  const controller = new AbortController()
  let comes: (() => void) | undefined
  const waits = new Promise<void>((resolve) => {
    comes = resolve
  })
  const removing = removeLeases(path, new Set([key]), {
    format,
    disk: {
      ...nodeDisk,
      lock: async (at, signal) => {
        comes?.()
        return await nodeDisk.lock(at, signal)
      },
    },
    host: { run: async () => "", root: "/", platform: "linux" },
    now: () => END,
    signal: controller.signal,
  })
  // Awaited after the lock is let go.
  removing.catch(() => undefined)
  await waits
  // Long enough to have changed it, were it not waiting.
  await pause(200)
  const read = (): string => readFileSync(path, "utf8")
  return {
    path,
    key,
    lock,
    removing,
    controller,
    read,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

describe("removeLeases()", () => {
  it("waits for whoever has the lock of the file, and keeps what they wrote", async () => {
    await using all = await lockedByAnother()
    expect(all.read()).toBe(block(5) + block(6))
    appendFileSync(all.path, block(7))
    all.lock?.[Symbol.dispose]()
    expect(await all.removing).toMatchObject({ keys: [all.key], server: "not-running" })
    expect(all.read()).toBe(block(6) + block(7))
    using free = tryLock(`${all.path}.skep-lock`)
    expect(free).toBeDefined()
  })

  it("leaves the file alone when it is interrupted while it waits for the lock", async () => {
    await using all = await lockedByAnother()
    all.controller.abort(new SidecarError("aborted", "Interrupted"))
    await expect(all.removing).rejects.toMatchObject({ code: "aborted" })
    all.lock?.[Symbol.dispose]()
    await pause(200)
    expect(all.read()).toBe(block(5) + block(6))
  })

  it("says that nothing was taken away where all were renewed while it looked", async () => {
    const { disk, put, remove } = rig({ isRunning: async () => false }, 5, 6)
    const renewed = block(5, END + 1) + block(6, END + 1)
    disk.onStep = (_, name) => {
      if (name === "exchange") put(renewed)
    }
    expect(await remove()).toEqual({ path: PATH, keys: [], server: "not-running" })
    disk.revive()
    expect(new TextDecoder().decode(disk.content(PATH))).toBe(renewed)
    expect([...disk.files.keys()]).toEqual([PATH])
  })

  it("tells what a server has released before it failed, and why the others stay", async () => {
    let asked = 0
    const left = [7]
    const { keys, put, remove } = rig(
      {
        ask: async () => {
          if (++asked === 2) throw new SidecarError("busy", "Cannot release 192.168.64.6: it is in use")
          if (asked === 4) throw new SidecarError("timeout", "Cannot reach the server")
          put([6, ...left, 8].map((place) => block(place)).join(""))
          left.splice(0)
        },
      },
      5,
      6,
      7,
      8,
    )
    expect(await remove("stays")).toEqual({
      path: PATH,
      server: "asked",
      keys: [keys[0], keys[2]],
      stays: ["Cannot release 192.168.64.6: it is in use", "Cannot reach the server"],
    })
  })

  it("throws what kept the first from being asked", async () => {
    const refusal = new SidecarError("timeout", "Cannot reach the server")
    const { remove } = rig({ ask: async () => await Promise.reject(refusal) }, 5)
    await expect(remove("stays")).rejects.toBe(refusal)
  })
})

import { describe, expect, it } from "vitest"
import { undo } from "../../src/file/backup.ts"
import { rewrite } from "../../src/file/rewrite.ts"
import { Killed, MemoryDisk } from "./memory-disk.ts"

const PATH = "/var/db/dhcpd_leases"
const NOW = Date.UTC(2026, 10, 22)
const OLD = bytesOf("the old file\n")
const NEW = bytesOf("new\n")
const NEWER = bytesOf("what the server wrote\n")

describe("rewrite()", () => {
  it("replaces the file and keeps the old one beside it", () => {
    const disk = diskWith(OLD)
    const { backup } = rewrite(PATH, () => NEW, { disk, now: NOW })
    expect(disk.content(PATH)).toEqual(NEW)
    expect(backup).toMatch(/^\/var\/db\/dhcpd_leases\.skep-backup-20261122T000000Z-[0-9a-f]{12}$/)
    expect(disk.content(backup ?? "")).toEqual(OLD)
    expect([...disk.files.keys()]).toEqual(expect.arrayContaining([PATH, backup]))
    expect(disk.files.size).toBe(2)
  })
  it("touches nothing where nothing is to be changed", () => {
    const disk = diskWith(OLD)
    expect(rewrite(PATH, () => undefined, { disk, now: NOW })).toEqual({ path: PATH })
    expect(disk.files.size).toBe(1)
  })
  it("leaves nothing behind where the change throws", () => {
    const disk = diskWith(OLD)
    const refuse = (): Uint8Array => {
      throw new Error("no")
    }
    expect(() => rewrite(PATH, refuse, { disk, now: NOW })).toThrow("no")
    expect(disk.files.size).toBe(1)
    expect(disk.content(PATH)).toEqual(OLD)
  })
  it.each([
    ["EROFS", "permission-denied", `Cannot change "${PATH}": its file system is read-only (EROFS)`],
    ["EACCES", "permission-denied", `Cannot change "${PATH}": only root may do that (EACCES)`],
    ["ENOSPC", "disk-full", expect.stringContaining(`Cannot change "${PATH}"`)],
  ])("says what is in the way of a new file, and leaves nothing of it: %s", (errno, code, message) => {
    const disk = diskWith(OLD)
    disk.onStep = (_, name) => {
      if (name === "write") throw Object.assign(new Error(errno), { code: errno })
    }
    expect(() => rewrite(PATH, () => NEW, { disk, now: NOW })).toThrow(
      expect.objectContaining({ code, message }),
    )
    expect([...disk.files.keys()]).toEqual([PATH])
    expect(disk.content(PATH)).toEqual(OLD)
  })
  it.each([true, false])(
    "is the old file or the new one wherever it is killed, and works again then (exchange: %s)",
    (canExchange) => {
      const steps = stepsOf(canExchange)
      expect(steps).toBeGreaterThan(12)
      const seen = new Set<string>()
      for (let last = 1; last <= steps; last++) {
        const disk = diskWith(OLD)
        disk.canExchange = canExchange
        disk.onStep = (step) => {
          if (step === last) throw new Killed()
        }
        expect(() => rewrite(PATH, () => NEW, { disk, now: NOW })).toThrow(Killed)
        seen.add(textOf(disk.content(PATH)))
        disk.revive()
        // In the same second: the backup of the one that was killed may be there.
        rewrite(PATH, (bytes) => (textOf(bytes) === textOf(NEW) ? undefined : NEW), { disk, now: NOW })
        expect(textOf(disk.content(PATH))).toBe(textOf(NEW))
      }
      expect([...seen].toSorted()).toEqual([textOf(NEW), textOf(OLD)])
    },
  )
  it("starts over wherever somebody else writes, and loses nothing of it", () => {
    const steps = stepsOf(true)
    for (let at = 1; at <= steps; at++) {
      const disk = diskWith(OLD)
      disk.onStep = (step) => {
        if (step === at) disk.put(PATH, NEWER)
      }
      const asked: string[] = []
      rewrite(
        PATH,
        (bytes) => {
          asked.push(textOf(bytes))
          return bytesOf(`changed: ${textOf(bytes)}`)
        },
        { disk, now: NOW },
      )
      const found = textOf(disk.content(PATH))
      // After the exchange the file is the server's own again, and telling the server is for another.
      const isServers = found === textOf(NEWER) && asked.length === 1
      expect(isServers || found === `changed: ${textOf(NEWER)}`).toBe(true)
      expect(disk.files.has("/var/db/.dhcpd_leases.skep-new")).toBe(false)
    }
  })
  it("gives back what was written between the last look and the exchange, also when that goes on", () => {
    const disk = diskWith(OLD)
    let writes = 0
    disk.onStep = (_, name) => {
      if (name === "exchange" && writes < 4) disk.put(PATH, bytesOf(`write ${++writes}`))
    }
    rewrite(PATH, (bytes) => bytesOf(`changed: ${textOf(bytes)}`), { disk, now: NOW })
    expect(textOf(disk.content(PATH))).toBe("changed: write 4")
  })
  it("says busy where the other one writes all the time", () => {
    const disk = diskWith(OLD)
    let writes = 0
    disk.onStep = (_, name) => {
      if (name === "create") disk.put(PATH, bytesOf(`write ${++writes}`))
    }
    expect(() => rewrite(PATH, () => NEW, { disk, now: NOW })).toThrow(
      expect.objectContaining({ code: "busy" }),
    )
    expect(disk.files.size).toBe(1)
  })
})

describe("undo()", () => {
  it("puts the newest backup back, and back again", () => {
    const disk = diskWith(OLD)
    rewrite(PATH, () => NEW, { disk, now: NOW })
    undo(PATH, { disk, now: NOW + 5000, force: false })
    expect(disk.content(PATH)).toEqual(OLD)
    undo(PATH, { disk, now: NOW + 9000, force: false })
    expect(disk.content(PATH)).toEqual(NEW)
    expect(disk.files.size).toBe(2)
  })
  it("refuses where somebody has written since, unless forced", () => {
    const disk = diskWith(OLD)
    rewrite(PATH, () => NEW, { disk, now: NOW })
    disk.put(PATH, NEWER)
    expect(() => undo(PATH, { disk, now: NOW, force: false })).toThrow(
      expect.objectContaining({ code: "busy" }),
    )
    expect(disk.content(PATH)).toEqual(NEWER)
    const { backup } = undo(PATH, { disk, now: NOW + 5000, force: true })
    expect(disk.content(PATH)).toEqual(OLD)
    expect(disk.content(backup ?? "")).toEqual(NEWER)
  })
  it("says not-found where nothing was changed", () => {
    expect(() => undo(PATH, { disk: diskWith(OLD), now: NOW, force: false })).toThrow(
      expect.objectContaining({ code: "not-found" }),
    )
  })
})

function diskWith(bytes: Uint8Array): MemoryDisk {
  const disk = new MemoryDisk()
  disk.put(PATH, bytes)
  return disk
}

function stepsOf(canExchange: boolean): number {
  const disk = diskWith(OLD)
  disk.canExchange = canExchange
  rewrite(PATH, () => NEW, { disk, now: NOW })
  return disk.steps
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes)
}

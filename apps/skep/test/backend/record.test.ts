import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { Settings } from "../../src/home/settings.ts"
import {
  changed,
  differences,
  freeCid,
  newRecord,
  readRecord,
  writeRecord,
} from "../../src/machine/record.ts"

const SETTINGS: Settings = {
  cpus: 2,
  memoryMiB: 2048,
  diskGiB: 20,
  accelerator: "auto",
  networkPolicy: "open",
  network: "skep",
  publishAddress: "127.0.0.1",
  sshAgent: true,
  shares: [],
  sharesProvider: "skep",
  shareProtocol: "auto",
  shareXattrs: false,
}

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "skep-record-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe("freeCid()", () => {
  test("DB-25: gives the first machine 3, and the next ones what no other has", () => {
    expect(freeCid([])).toBe(3)
    expect(freeCid([undefined, 3, 4, 6])).toBe(5)
  })
})

describe("machine.json", () => {
  test("is read as it was written", async () => {
    const path = join(directory, "machine.json")
    const record = newRecord("dev", { cpus: 3 }, SETTINGS, 40_000)
    await writeRecord(path, record)
    expect(await readRecord(path)).toEqual(record)
    expect(record).toMatchObject({ name: "dev", cpus: 3, memoryMiB: 2048, sshPort: 40_000 })
  })

  test("a missing file is no record", async () => {
    expect(await readRecord(join(directory, "none.json"))).toBeUndefined()
  })

  test.each([
    ["truncated", (text: string) => text.slice(0, -20)],
    ["empty", () => ""],
    ["not an object", () => "[]"],
    ["of another version", (text: string) => text.replace('"version": 1', '"version": 2')],
    ["with a bad address", (text: string) => text.replace(/"mac": "[^"]*"/, '"mac": "here"')],
    ["with a field of another program", (text: string) => text.replace("{", '{"surprise": true,')],
  ])("one that is %s is refused and left as it is", async (_what, damage) => {
    const path = join(directory, "machine.json")
    await writeRecord(path, newRecord("dev", {}, SETTINGS, 40_000))
    const damaged = damage(readFileSync(path, "utf8"))
    writeFileSync(path, damaged)
    await expect(readRecord(path)).rejects.toMatchObject({
      code: "corrupt-file",
      message: expect.stringContaining(path),
      next: expect.stringContaining("Mend"),
    })
    expect(readFileSync(path, "utf8")).toBe(damaged)
  })
})

describe("changes", () => {
  test("a disk grows but never shrinks", () => {
    const record = newRecord("dev", {}, SETTINGS, 40_000)
    expect(changed(record, { diskGiB: 30 }).diskGiB).toBe(30)
    expect(() => changed(record, { diskGiB: 19 })).toThrow(
      expect.objectContaining({
        code: "shrink-refused",
        message: expect.stringContaining("20 GiB to 19 GiB"),
      }),
    )
  })

  test("a new machine may have a smaller disk than the settings say", () => {
    expect(newRecord("dev", { diskGiB: 5 }, SETTINGS, 40_000).diskGiB).toBe(5)
  })

  test.each([
    [{ memoryMiB: 64 }, "too-small"],
    [{ diskGiB: 1 }, "too-small"],
    [{ cpus: 0 }, "bad-options"],
    [{ cpus: 100_000 }, "bad-options"],
  ])("%j is refused with %s", (changes, code) => {
    const record = newRecord("dev", {}, SETTINGS, 40_000)
    expect(() => changed(record, changes)).toThrow(expect.objectContaining({ code }))
    expect(() => newRecord("dev", changes, SETTINGS, 40_000)).toThrow(expect.objectContaining({ code }))
  })

  test("names the fields that differ, and no others", () => {
    const record = newRecord("dev", {}, SETTINGS, 40_000)
    expect(differences(record, changed(record, { cpus: 4, memoryMiB: 2048 }))).toEqual(["cpus"])
    expect(differences(record, { ...record, sshPort: 1 })).toEqual([])
  })

  test("a policy that the machine's network does not keep is refused; Skep's keeps all", () => {
    const record = newRecord("dev", { networkPolicy: "restricted" }, SETTINGS, 40_000)
    expect(record.network).toBe("skep")
    expect(changed(record, { networkPolicy: "loopback" }).networkPolicy).toBe("loopback")
    for (const changes of [{ network: "passt" }, { network: "user", networkPolicy: "loopback" }] as const)
      expect(() => changed(record, changes)).toThrow(expect.objectContaining({ code: "bad-options" }))
    const both = { network: "passt", networkPolicy: "loopback" } as const
    expect(changed(record, both)).toMatchObject(both)
    expect(differences(record, changed(record, both))).toEqual(["networkPolicy", "network"])
  })

  test("shares over NFS are for Skep's network and share manager alone, and refused with what to say", () => {
    const record = newRecord("dev", { shareProtocol: "nfs" }, SETTINGS, 40_000)
    expect(record.shareProtocol).toBe("nfs")
    for (const changes of [{ network: "passt" }, { network: "user" }, { network: "gvproxy" }] as const) {
      const refusal = expect.objectContaining({
        code: "unsupported",
        message: expect.stringContaining(changes.network),
        next: expect.stringContaining("--share-protocol auto"),
      })
      expect(() => changed(record, changes)).toThrow(refusal)
      expect(() => newRecord("dev", { ...changes, shareProtocol: "nfs" }, SETTINGS, 1)).toThrow(refusal)
      expect(changed(record, { ...changes, shareProtocol: "auto" })).toMatchObject(changes)
    }
    expect(() => changed(record, { sharesProvider: "virtiofsd" })).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining("virtiofsd") }),
    )
    expect(changed(record, { sharesProvider: "none", network: "user" }).sharesProvider).toBe("none")
    expect(differences(record, changed(record, { shareProtocol: "virtiofs" }))).toEqual(["shareProtocol"])
    expect(() => changed(record, { shareProtocol: "exports", network: "user" })).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining("the host's server") }),
    )
  })

  test("each machine has an address of its own, locally administered and unicast", () => {
    const addresses = Array.from({ length: 50 }, () => newRecord("dev", {}, SETTINGS, 40_000).mac)
    expect(new Set(addresses).size).toBe(50)
    for (const mac of addresses) expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2)
  })
})

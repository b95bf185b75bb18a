import { execFileSync } from "node:child_process"
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises"
import { silentLog, tryLock } from "@skep/runtime"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  DhcpServer,
  type Edits,
  type Lease,
  LeaseFile,
  LeaseKeeper,
  memoryStore,
  NOTHING_REMEMBERED,
} from "../../src/dhcp/index.ts"
import { networkOfLeases } from "../../src/dhcp/lease-file.ts"
import { EMPTY, parseLeases, printLeases } from "../../src/dhcp/lease-text.ts"
import { bind, NETWORK, NOW, say } from "./client.ts"

const NETWORK_TEXT = "192.168.64.0/24"

function lease(last: number, more: Partial<Lease> = {}): Lease {
  const mac = `52:54:00:00:00:${last.toString(16).padStart(2, "0")}`
  return { address: `192.168.64.${last}`, mac, granted: NOW, renewed: NOW, expires: NOW + 3_600_000, ...more }
}

interface Lines {
  readonly lines: string[]
  readonly file: LeaseFile
}

function fileIn(directory: TemporaryDirectory): Lines {
  const lines: string[] = []
  const log = { ...silentLog, info: (event: string) => lines.push(event) }
  return { lines, file: new LeaseFile({ path: directory.at("leases.json"), network: NETWORK_TEXT, log }) }
}

/** As lease-file.md says that others do it. */
async function edit(
  path: string,
  change: (file: { leases: Record<string, unknown>[] }) => void,
): Promise<void> {
  const lock = tryLock(`${path}.lock`)
  if (lock === undefined) throw new Error("the lock is taken")
  const file: { leases: Record<string, unknown>[] } = JSON.parse(await readFile(path, "utf8"))
  change(file)
  await writeFile(`${path}.new`, JSON.stringify(file))
  await rename(`${path}.new`, path)
  lock[Symbol.dispose]()
}

async function read(path: string): Promise<readonly Lease[]> {
  const text = parseLeases(await readFile(path, "utf8"))
  if (typeof text === "string") throw new Error(text)
  return text.leases
}

describe("a lease file", () => {
  it("is written as it is documented", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    expect(await file.open()).toEqual([])
    const full = lease(18, { clientId: "ff00", machine: "default", hostName: "debian" })
    expect(await file.save([lease(200), full])).toEqual({ removed: [], added: [] })
    expect(JSON.parse(await readFile(file.path, "utf8"))).toEqual({
      format: "skep-leases",
      version: 1,
      network: NETWORK_TEXT,
      leases: [
        {
          address: "192.168.64.18",
          mac: "52:54:00:00:00:12",
          clientId: "ff00",
          machine: "default",
          hostName: "debian",
          granted: "2026-11-21T00:00:00.000Z",
          renewed: "2026-11-21T00:00:00.000Z",
          expires: "2026-11-21T01:00:00.000Z",
        },
        expect.objectContaining({ address: "192.168.64.200" }),
      ],
    })
    expect((await stat(file.path)).mode & 0o777).toBe(0o600)
    expect(await directory.list()).toEqual(["leases.json"])
    expect(await fileIn(directory).file.open()).toEqual([full, lease(200)])
  })

  it("reads the example of its documentation", async () => {
    const document = await readFile(new URL("../../src/dhcp/lease-file.md", import.meta.url), "utf8")
    const example = /```json\n([^`]*)```/.exec(document)?.[1] ?? ""
    expect(parseLeases(example)).toMatchObject({
      leases: [{ machine: "default", hostName: "debian" }],
      strange: [],
    })
  })

  it("keeps fields and entries of others", async () => {
    await using directory = await temporaryDirectory()
    const { file, lines } = fileIn(directory)
    await file.save([lease(18), lease(19)])
    await edit(file.path, (content) => {
      Object.assign(content, { note: "mine" })
      content.leases[0] = { ...content.leases[0], owner: { name: "x" } }
      content.leases.push({ odd: true })
    })
    expect(await file.save([lease(18, { renewed: NOW + 5 }), lease(19)])).toEqual({
      removed: [],
      added: [],
    })
    expect(lines).toEqual(["lease file has entries that are no leases"])
    expect(JSON.parse(await readFile(file.path, "utf8"))).toMatchObject({
      note: "mine",
      leases: [{ owner: { name: "x" }, renewed: "2026-11-21T00:00:00.005Z" }, {}, { odd: true }],
    })
    await file.save([lease(19)])
    expect(JSON.stringify(JSON.parse(await readFile(file.path, "utf8")))).not.toContain("owner")
  })

  it("that others pruned stays pruned, but for what was renewed since", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await file.save([lease(18), lease(19), lease(20)])
    await edit(file.path, (content) => {
      content.leases = content.leases.filter(({ address }) => address === "192.168.64.20")
    })
    const renewed = lease(18, { renewed: NOW + 1 })
    const now = [renewed, lease(19), lease(20), lease(21)]
    expect(await file.save(now)).toEqual({ removed: [lease(19)], added: [] })
    expect(await read(file.path)).toEqual([renewed, lease(20), lease(21)])
    // The server may know better.
    expect(await file.save(now)).toEqual({ removed: [], added: [] })
    expect(await read(file.path)).toEqual([renewed, lease(19), lease(20), lease(21)])
  })

  it("that others added to or changed has that", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await file.save([lease(18), lease(19)])
    const text = printLeases({ ...EMPTY, leases: [lease(30)] }, NETWORK_TEXT)
    await edit(file.path, (content) => {
      content.leases.push(JSON.parse(text).leases[0])
      content.leases[0] = { ...content.leases[0], expires: "2026-11-21T00:30:00.000Z" }
    })
    const shorter = lease(18, { expires: NOW + 1_800_000 })
    expect(await file.save([lease(18), lease(19)])).toEqual({
      removed: [lease(18)],
      added: [shorter, lease(30)],
    })
    expect(await read(file.path)).toEqual([shorter, lease(19), lease(30)])
  })

  it("that is gone is written again, whole: nobody loses his address by that", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await file.save([lease(18)])
    await rm(file.path)
    expect(await file.save([lease(18)])).toEqual({ removed: [], added: [] })
    expect(await read(file.path)).toEqual([lease(18)])
  })

  const corrupt = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    '{"format":"skep-leases","version":2,"leases":[]}',
    '{"format":"skep-leases","version":1}',
    "\0".repeat(400),
  ]
  it.each(corrupt)("that is none is set aside, with a line in the log: %j", async (content) => {
    await using directory = await temporaryDirectory()
    const { file, lines } = fileIn(directory)
    await writeFile(file.path, content)
    expect(await file.open()).toEqual([])
    expect(lines).toEqual(["lease file set aside"])
    expect(await readFile(`${file.path}.corrupt`, "utf8")).toBe(content)
    await file.save([lease(18)])
    await writeFile(file.path, `${content} `)
    await file.save([lease(18)])
    expect(await read(file.path)).toEqual([lease(18)])
    expect(await directory.list()).toEqual(["leases.json", "leases.json.corrupt"])
  })

  const others = ["root:x:0:0:root:/root:/bin/sh\n", '{"name":"a package"}', "[1]", "\u007fELF"]
  it.each(others)("of others is refused, and stays: %j", async (content) => {
    await using directory = await temporaryDirectory()
    const { file, lines } = fileIn(directory)
    await writeFile(file.path, content)
    await expect(file.open()).rejects.toMatchObject({
      code: "exists",
      message: expect.stringContaining(`Cannot keep leases in "${file.path}": it is no lease file: `),
      next: "Move it away, or choose another file for the leases",
    })
    expect(await readFile(file.path, "utf8")).toBe(content)
    expect(await directory.list()).toEqual(["leases.json"])
    expect(lines).toEqual([])
  })

  it("that cannot be one is refused in a sentence: a directory, a pipe, a place that is not there", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await mkdir(file.path)
    const none = {
      code: "bad-options",
      message: `Cannot keep leases in "${file.path}": it is a directory, a device or a pipe`,
      next: "Choose another file for the leases, one that this user can write",
    }
    await expect(file.open()).rejects.toMatchObject(none)
    await rm(file.path, { recursive: true })
    execFileSync("mkfifo", [file.path])
    await expect(file.open()).rejects.toMatchObject(none)
    expect(await networkOfLeases(file.path)).toBeUndefined()
    const path = directory.at("no/leases.json")
    const nowhere = new LeaseFile({ path, network: NETWORK_TEXT, log: silentLog })
    await expect(nowhere.open()).rejects.toMatchObject({
      code: "bad-options",
      message: `Cannot keep leases in "${path}": its directory is not there`,
    })
    expect(await directory.list()).toEqual(["leases.json"])
  })

  it("is looked at again if only its time changed", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await file.save([lease(18)])
    await utimes(file.path, 1, 1)
    expect(await file.save([lease(18)])).toEqual({ removed: [], added: [] })
  })

  it("that another process holds the lock of is not written", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    using _lock = tryLock(`${file.path}.lock`)
    const aborted = AbortSignal.abort(new Error("enough"))
    await expect(file.save([lease(18)], aborted)).rejects.toThrow("enough")
    await expect(stat(file.path)).rejects.toThrow("ENOENT")
  })

  it("that cannot be written says so and leaves the old one", async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.at("leases.json"))
    const { file } = fileIn(directory)
    await expect(file.save([lease(18)])).rejects.toMatchObject({ code: "bad-options" })
  })

  it("any text is leases or a reason, and what is written is read", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        parseLeases(text)
      }),
    )
    const entry = fc.record({
      address: fc.ipV4(),
      mac: fc.constantFrom("52:54:00:00:00:01", "52:54:0:0:0:1", "x"),
      granted: fc.constantFrom("2026-11-21T00:00:00.000Z", "never", 7),
      renewed: fc.constant("2026-11-21T00:00:00.000Z"),
      expires: fc.constant("2026-11-21T01:00:00.000Z"),
      machine: fc.oneof(fc.string(), fc.constant(null)),
      more: fc.jsonValue(),
    })
    fc.assert(
      fc.property(fc.array(fc.oneof(entry, fc.jsonValue())), (leases) => {
        const text = parseLeases(JSON.stringify({ format: "skep-leases", version: 1, leases }))
        if (typeof text === "string") throw new Error(text)
        expect(text.leases.length + text.strange.length).toBe(leases.length)
        const again = parseLeases(printLeases(text, NETWORK_TEXT))
        if (typeof again === "string") throw new Error(again)
        expect(new Set(again.leases)).toEqual(new Set(text.leases))
        expect(again.moreOf).toEqual(text.moreOf)
        expect(again.strange).toEqual(text.strange)
      }),
    )
  })
})

describe("LeaseKeeper", () => {
  it("writes the newest, one write at a time, and the last before it goes", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    await using keeper = new LeaseKeeper({ file, log: silentLog, onEdits: () => undefined })
    const saves = Array.from({ length: 98 }, (_, index) => keeper.save([lease(index + 2)]))
    expect(await saves[0]).toBe(true)
    expect([await Promise.all(saves), await read(file.path)]).toEqual([saves.map(() => true), [lease(99)]])
    await keeper[Symbol.asyncDispose]()
    expect(await read(file.path)).toEqual([lease(99)])
    expect(await directory.list()).toEqual(["leases.json"])
  })

  it("tries again with the next leases, and says so in the log", async () => {
    await using directory = await temporaryDirectory()
    const lines: string[] = []
    const log = { ...silentLog, info: (event: string) => lines.push(event) }
    await mkdir(directory.at("leases.json"))
    const { file } = fileIn(directory)
    await using keeper = new LeaseKeeper({ file, log, onEdits: () => undefined })
    expect(await keeper.save([lease(18)])).toBe(false)
    await expect(keeper[Symbol.asyncDispose]()).rejects.toMatchObject({ code: "bad-options" })
    expect(lines).toEqual(["lease file not written"])
    await rm(file.path, { recursive: true })
    expect(await keeper.save([lease(19)])).toBe(true)
    expect(await read(file.path)).toEqual([lease(19)])
  })

  it("tells a server what others did, which keeps what is in use", async () => {
    await using directory = await temporaryDirectory()
    const { file } = fileIn(directory)
    const server = new DhcpServer({
      network: NETWORK,
      store: {
        load: () => [],
        remembered: NOTHING_REMEMBERED,
        save: (leases, remembered) => void keeper.save(leases, remembered),
      },
    })
    const edits: Edits[] = []
    await using keeper: LeaseKeeper = new LeaseKeeper({
      file,
      log: silentLog,
      onEdits: (all) => {
        edits.push(all)
        server.forget(all.removed, NOW + 3)
        server.restore(all.added, NOW + 3)
      },
    })
    server.attach("bee")
    const bee = bind(server, {}, { machine: "bee" })
    const wasp = bind(server, { mac: 7 }, { machine: "wasp" })
    const ant = bind(server, { mac: 8 }, { machine: "ant" })
    server.flush()
    await keeper[Symbol.asyncDispose]()
    await edit(file.path, (content) => {
      content.leases = []
    })
    // The ant is heard of between the edit and our next write.
    say(server, { type: "request", mac: 8, own: ant ?? "" }, { now: NOW + 1, machine: "ant" })
    server.flush()
    await keeper[Symbol.asyncDispose]()
    expect(new Set(edits.flatMap(({ removed }) => addresses(removed)))).toEqual(new Set([bee, wasp]))
    expect(new Set(addresses(server.leases()))).toEqual(new Set([bee, ant]))
    server.flush()
    await keeper[Symbol.asyncDispose]()
    expect(new Set(addresses(await read(file.path)))).toEqual(new Set([bee, ant]))
  })
})

function addresses(leases: readonly Lease[]): readonly string[] {
  return leases.map(({ address }) => address)
}

describe("a server's leases", () => {
  it("are saved a tenth of a second after a change, once", () => {
    const store = memoryStore()
    const server = new DhcpServer({ network: NETWORK, store })
    expect(server.pollAt()).toBe(Number.POSITIVE_INFINITY)
    say(server, { type: "discover" })
    expect(server.pollAt()).toBe(Number.POSITIVE_INFINITY)
    bind(server)
    bind(server, { mac: 7 }, { now: NOW + 50 })
    expect(server.pollAt()).toBe(NOW + 100)
    server.dispatch(NOW + 99)
    expect(store.saved).toEqual([])
    server.dispatch(NOW + 100)
    expect(store.saved).toHaveLength(2)
    expect(server.pollAt()).toBe(Number.POSITIVE_INFINITY)
  })

  it("are taken again but for those that cannot be", () => {
    const bad = [lease(1), lease(255), lease(18, { address: "10.0.0.1" }), lease(18, { address: "x" })]
    const twice = [lease(19, { mac: "52:54:00:00:00:63", renewed: NOW - 5 }), lease(19)]
    const server = new DhcpServer({ network: NETWORK, store: memoryStore([...bad, ...twice, lease(20)]) })
    expect(server.leases()).toEqual(expect.arrayContaining([lease(19), lease(20)]))
    expect(server.leases()).toHaveLength(2)
    expect(server.counters["not-restored"]).toBeGreaterThan(0)
  })

  it("are forgotten if somebody says so, unless they were renewed since or their machine is there", () => {
    const server = new DhcpServer({
      network: NETWORK,
      store: memoryStore([lease(18), lease(19), lease(20, { machine: "bee" })]),
    })
    server.attach("bee")
    server.forget([lease(18), lease(19, { renewed: NOW - 1 }), lease(20, { machine: "bee" }), lease(21)], NOW)
    expect(addresses(server.leases())).toEqual(["192.168.64.19", "192.168.64.20"])
    // What stays is saved again: somebody took it from the file.
    expect(server.pollAt()).toBe(NOW + 100)
    server.detach("bee")
    server.forget([lease(20, { machine: "bee" })], NOW)
    expect(addresses(server.leases())).toEqual(["192.168.64.19"])
  })

  it("of one machine become one if its identity becomes the machine: the last", () => {
    const saved = [
      lease(18, { machine: "bee", clientId: "01", renewed: NOW + 2 }),
      lease(19, { machine: "bee", clientId: "02", renewed: NOW + 1 }),
    ]
    const server = new DhcpServer({ network: { ...NETWORK, identity: "machine" }, store: memoryStore(saved) })
    expect(server.leases()).toEqual([saved[0]])
    expect(bind(server, { mac: 9 }, { machine: "bee" })).toBe("192.168.64.18")
  })
})

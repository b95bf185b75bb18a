/** The parts that do no input or output: what the guest believes, its directories, the queue, names, inotify's records. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Directories } from "../../src/events/directories.ts"
import { DT_FILE, ECHO_GROUP, type Echo, echoIdOf } from "../../src/events/echo.ts"
import { EchoQueue } from "../../src/events/echo-queue.ts"
import { GuestView } from "../../src/events/guest-view.ts"
import { parseEvents } from "../../src/events/inotify-event.ts"
import { decode, encode } from "../../src/events/name.ts"

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe("names", () => {
  test("come back from text as they were", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (name) => {
        const text = encode(name)
        expect(text).toMatch(/^[!-~]*$/)
        expect(Uint8Array.from(decode(text) ?? [])).toEqual(name)
      }),
    )
  })

  test.each(["a b", "%", "%4", "%zz", "ü"])("decode() refuses %j", (text) => {
    expect(decode(text)).toBeUndefined()
  })
})

describe("GuestView", () => {
  test("is a map, whatever is put in and taken out", () => {
    const step = fc.record({
      parent: fc.integer({ min: 1, max: 3 }),
      name: fc.string({ minLength: 1, maxLength: 2 }),
      node: fc.option(fc.integer({ min: 1, max: 2 ** 40 })),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
        const view = new GuestView(100_000)
        const model = new Map<string, number>()
        for (const { parent, name, node } of steps) {
          if (node === null) {
            view.delete(parent, bytes(name))
            model.delete(`${parent}/${name}`)
          } else {
            view.set(parent, bytes(name), node, DT_FILE)
            model.set(`${parent}/${name}`, node)
          }
        }
        for (const { parent, name } of steps)
          expect(view.nodeOf(parent, bytes(name))).toBe(model.get(`${parent}/${name}`) ?? 0)
        expect(view.size).toBe(model.size)
      }),
      { numRuns: 30 },
    )
  })

  test("holds a hundred thousand names and forgets all when it holds too many", () => {
    const view = new GuestView(100_000)
    for (let at = 0; at < 100_000; at++) view.set(at % 7, bytes(`file-${at}`), at + 1, DT_FILE)
    let wrong = 0
    for (let at = 0; at < 100_000; at++) if (view.nodeOf(at % 7, bytes(`file-${at}`)) !== at + 1) wrong++
    expect(wrong).toBe(0)
    for (let at = 100_000; at < 400_000; at++) view.set(1, bytes(`file-${at}`), at, DT_FILE)
    expect(view.size).toBeLessThanOrEqual(200_000)
    expect(view.nodeOf(1, bytes("file-399999"))).toBe(399_999)
  })
})

describe("Directories", () => {
  test("follow moves in their paths, and have none once they are lost", () => {
    const directories = new Directories(1, "3", 100)
    const a = directories.learn(2, 1, bytes("a"))
    const b = directories.learn(3, 2, bytes("b c"))
    if (a === undefined || b === undefined) throw new Error("learn() gives what is new")
    expect(directories.path(b)).toBe("3/a/b%20c")
    directories.move(a, 1, bytes("z"))
    expect(directories.path(b)).toBe("3/z/b%20c")
    expect(directories.in(1, bytes("a"))).toBeUndefined()
    expect(directories.in(1, bytes("z"))).toBe(a)
    directories.lose(a)
    expect(directories.path(b)).toBeUndefined()
    expect(directories.learn(2, 1, bytes("back"))).toBe(a)
    expect(directories.path(b)).toBe("3/back/b%20c")
  })

  test("go with the guest's references, the root never", () => {
    const directories = new Directories(1, "3", 100)
    directories.learn(2, 1, bytes("a"))
    expect(directories.learn(2, 1, bytes("a"))).toBeUndefined()
    expect(directories.forget(2, 1)).toBeUndefined()
    expect(directories.forget(2, 1)?.node).toBe(2)
    expect(directories.at(2)).toBeUndefined()
    expect(directories.forget(1, 1000)).toBeUndefined()
    expect(directories.size).toBe(1)
  })

  test("are not learnt beyond their number, or without a parent", () => {
    const directories = new Directories(1, "3", 2)
    expect(directories.learn(5, 4, bytes("x"))).toBeUndefined()
    expect(directories.learn(2, 1, bytes("a"))?.node).toBe(2)
    expect(directories.learn(3, 1, bytes("b"))).toBeUndefined()
    expect(directories.refused).toBe(2)
  })

  test("lose their place to who takes it, and do not hang on circles", () => {
    const directories = new Directories(1, "3", 100)
    const a = directories.learn(2, 1, bytes("a"))
    const b = directories.learn(3, 1, bytes("a"))
    if (a === undefined || b === undefined) throw new Error("learn() gives what is new")
    expect(directories.path(a)).toBeUndefined()
    directories.move(b, 2, bytes("x"))
    directories.move(a, 3, bytes("y"))
    expect(directories.path(a)).toBeUndefined()
  })
})

function echo(name: string, kind: Echo["kind"] = "modify"): Echo {
  const key = kind === "modify" || kind === "write" ? `content ${name}` : undefined
  return {
    kind,
    owner: echo,
    at: { parent: 1, name: bytes(name) },
    type: DT_FILE,
    node: 0,
    words: `${kind} ${name}`,
    ...(key === undefined ? {} : { key }),
  }
}

describe("EchoQueue", () => {
  function queue(options: { window?: number; waitingMax?: number } = {}) {
    const sent: string[] = []
    const overflows: number[] = []
    const it = new EchoQueue({
      send: (lines) => void sent.push(...lines),
      onOverflow: () => void overflows.push(sent.length),
      ...options,
    })
    return { it, sent, overflows }
  }

  test("keeps nothing for a guest that never came", () => {
    const { it, sent } = queue()
    it.push(echo("a"))
    it.open(false)
    expect(sent).toEqual([])
    expect(it.counters.droppedEchoes).toBe(1)
  })

  test("sends in order, no more at a time than the window", () => {
    const { it, sent } = queue({ window: 2 })
    it.open(false)
    for (const name of ["a", "b", "c"]) it.push(echo(name))
    it.pump()
    expect(sent).toEqual(["echo 0 modify a", "echo 1 modify b"])
    expect(it.at(1)?.words).toBe("modify b")
    it.settle([{ id: 1, errno: 0 }])
    expect(sent).toHaveLength(3)
    it.settle([
      { id: 0, errno: 2 },
      { id: 77, errno: 0 },
    ])
    expect(it.counters).toMatchObject({ echoes: 1, failedEchoes: 1 })
    expect(it.at(0)).toBeUndefined()
  })

  test("takes changes of one content together, until the name means another file", () => {
    const { it, sent } = queue()
    it.open(false)
    it.push(echo("f"))
    it.push(echo("f", "write"))
    it.push(echo("f"))
    it.fence("content f")
    it.push(echo("f", "remove"))
    it.push(echo("f", "make"))
    it.push(echo("f"))
    it.pump()
    it.push(echo("f"))
    it.pump()
    expect(sent.map((line) => line.replace(/^echo \d+ /, ""))).toEqual([
      "write f",
      "remove f",
      "make f",
      "modify f",
      "modify f",
    ])
  })

  test("takes the making of a file and its content together", () => {
    const { it, sent } = queue()
    it.open(false)
    it.push({ ...echo("f", "make"), key: "content f", filled: "create f" })
    it.push(echo("f"))
    it.push(echo("f", "write"))
    it.push({ ...echo("p", "make"), key: "content p" })
    it.push(echo("p"))
    it.pump()
    expect(sent).toEqual(["echo 0 create f", "echo 1 make p", "echo 2 modify p"])
  })

  test("sends what is finished at once, and what is not when it is, or ripe", () => {
    const { it, sent } = queue()
    it.open(false)
    const modify = { ...echo("f"), unfinished: true }
    it.push(echo("a", "write"))
    it.push(modify)
    it.push(echo("b", "write"))
    it.pump()
    expect(sent.splice(0)).toEqual(["echo 0 write a"])
    expect(it.isUnripe).toBe(true)
    it.settle([{ id: 0, errno: 0 }])
    expect(sent).toEqual([])
    it.push(echo("f", "write"))
    it.pump()
    expect(sent.splice(0)).toEqual(["echo 1 write f", "echo 2 write b"])
    expect(it.isUnripe).toBe(false)
    const make = { ...echo("f", "make"), key: "content f", filled: "create f", unfinished: true }
    it.push(make)
    it.push(modify)
    it.pump()
    expect(sent).toEqual([])
    it.ripen()
    expect(sent.splice(0)).toEqual(["echo 3 create f"])
    it.push(make)
    it.push(echo("f", "write"))
    it.pump()
    expect(sent.splice(0)).toEqual(["echo 4 create f"])
    it.push(modify)
    it.pause()
    it.open(true)
    expect(sent.at(-1)).toMatch(/ modify f$/)
  })

  test("sends again what a guest that was lost did not answer, and what came meanwhile", () => {
    const { it, sent } = queue({ window: 2 })
    it.open(false)
    for (const name of ["a", "b", "c"]) it.push(echo(name))
    it.pump()
    it.settle([{ id: 0, errno: 0 }])
    it.pause()
    it.push(echo("d"))
    it.pump()
    expect(sent).toHaveLength(3)
    it.open(true)
    expect(sent.slice(3).map((line) => line.replace(/^echo \d+ /, ""))).toEqual(["modify b", "modify c"])
    it.pause()
    it.open(false)
    expect(sent).toHaveLength(5)
  })

  test("says so when too much waits, and begins anew", () => {
    const { it, sent, overflows } = queue({ waitingMax: 10 })
    it.open(false)
    for (let at = 0; at < 11; at++) it.push(echo(`f${at}`))
    expect(overflows).toHaveLength(1)
    it.push(echo("last"))
    it.pump()
    expect(sent).toEqual(["echo 0 modify last"])
    expect(it.counters.droppedEchoes).toBe(11)
  })

  test("delivers everything once in order, whatever comes and goes", () => {
    const step = fc.oneof(
      fc.constant("push" as const),
      fc.constant("pump" as const),
      fc.constant("ripen" as const),
      fc.constant("settle" as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 5 }), (steps, window) => {
        const { it, sent } = queue({ window, waitingMax: 1000 })
        it.open(false)
        let pushed = 0
        let settled = 0
        const idOf = (line: string | undefined): number => Number(line?.split(" ")[1])
        for (const each of steps) {
          if (each === "push") it.push({ ...echo(`f${pushed}`, "make"), unfinished: pushed++ % 3 === 0 })
          else if (each === "pump") it.pump()
          else if (each === "ripen") it.ripen()
          else if (settled < sent.length) it.settle([{ id: idOf(sent[settled++]), errno: 0 }])
        }
        it.ripen()
        while (settled < sent.length) it.settle([{ id: idOf(sent[settled++]), errno: 0 }])
        expect(sent.map((line) => line.split(" ")[3])).toEqual(
          Array.from({ length: pushed }, (_, at) => `f${at}`),
        )
      }),
    )
  })
})

test("echoIdOf() knows the groups that are set aside", () => {
  const idOf = (gid: number): number => echoIdOf({ uid: 0, gid, pid: 0 })
  expect([idOf(0), idOf(ECHO_GROUP - 1), idOf(ECHO_GROUP), idOf(ECHO_GROUP + 65_535)]).toEqual([
    -1, -1, 0, 65_535,
  ])
  expect([idOf(ECHO_GROUP + 65_536), idOf(4_294_967_295)]).toEqual([-1, -1])
})

describe("parseEvents()", () => {
  test("reads records one after the other", () => {
    const record = (watch: number, mask: number, cookie: number, name: string): Buffer => {
      const padded = Buffer.alloc(name === "" ? 0 : 16 * Math.ceil((name.length + 1) / 16))
      padded.write(name)
      const head = Buffer.alloc(16)
      head.writeInt32LE(watch, 0)
      head.writeUInt32LE(mask, 4)
      head.writeUInt32LE(cookie, 8)
      head.writeUInt32LE(padded.length, 12)
      return Buffer.concat([head, padded])
    }
    const all = Buffer.concat([
      record(1, 0x100, 0, "new"),
      record(-1, 0x4000, 0, ""),
      record(2, 0x40000080, 9, "to"),
    ])
    const seen: unknown[] = []
    parseEvents(all, ({ watch, mask, cookie, name }) =>
      seen.push([watch, mask, cookie, String(Buffer.from(name))]),
    )
    expect(seen).toEqual([
      [1, 0x100, 0, "new"],
      [-1, 0x4000, 0, ""],
      [2, 0x40000080, 9, "to"],
    ])
  })

  test("never reads past the end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        parseEvents(noise, ({ name }) => expect(name.length).toBeLessThanOrEqual(noise.length))
      }),
    )
  })
})

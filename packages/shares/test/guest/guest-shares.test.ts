import { createServer } from "node:net"
import { join } from "node:path"
import { withResolvers } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, test } from "vitest"
import { dialGuest, GuestShares } from "../../src/guest/index.ts"
import { BOOT_ID, FakeGuest, OTHER_BOOT_ID } from "./fake-guest.ts"

/** Guests that are dialled one after the other; undefined is one that refuses. */
function looking(guests: readonly (FakeGuest | undefined)[]) {
  const happened: string[] = []
  const waiting = new Map<number, () => void>()
  const note = (text: string): void => {
    happened.push(text)
    waiting.get(happened.length)?.()
  }
  let dialled = 0
  const shares = new GuestShares({
    dial: async (signal) => {
      const guest = guests[dialled++]
      if (guest !== undefined) return guest.host
      note("refused")
      if (dialled <= guests.length) throw new Error("nobody there")
      const never = withResolvers<never>()
      signal.addEventListener("abort", () => never.reject(signal.reason))
      return await never.promise
    },
    onReady: ({ bootId, again }) => note(`ready ${bootId === BOOT_ID ? "one" : "other"} ${again}`),
    onLost: (reason) => note(`lost: ${reason}`),
    retryMs: 1,
  })
  const until = async (count: number): Promise<readonly string[]> => {
    if (happened.length < count) await new Promise<void>((resolve) => waiting.set(count, resolve))
    return happened
  }
  return { shares, until }
}

describe("GuestShares", () => {
  test("looks for the guest until it is there, and again, and knows its boot", async () => {
    const [first, second, third] = [new FakeGuest(), new FakeGuest(), new FakeGuest()]
    const { shares, until } = looking([undefined, undefined, first, second, third])
    await expect(shares.announce()).rejects.toMatchObject({ code: "unreachable" })
    first.say(`hello 1 ${BOOT_ID}\n`)
    await until(3)
    expect(shares.ready).toBe(true)
    first.hangUp()
    second.say(`hello 1 ${BOOT_ID}\n`)
    await until(5)
    second.host.destroy(new Error("ECONNRESET"))
    third.say(`hello 1 ${OTHER_BOOT_ID}\n`)
    expect(await until(7)).toEqual([
      "refused",
      "refused",
      "ready one false",
      "lost: the guest hung up",
      "ready one true",
      "lost: the connection broke: ECONNRESET",
      "ready other false",
    ])
    const asked = shares.bind("1", "/srv", false)
    expect(await third.hears()).toBe("bind 1 1 /srv rw")
    await shares[Symbol.asyncDispose]()
    await expect(asked).rejects.toBeInstanceOf(Error)
    expect(third.host.destroyed).toBe(true)
  })

  test("goes on after a guest of another version", async () => {
    const [strange, right] = [new FakeGuest(), new FakeGuest()]
    strange.say(`hello 7 ${BOOT_ID}\n`)
    right.say(`hello 1 ${BOOT_ID}\n`)
    const { shares, until } = looking([strange, right])
    expect(await until(1)).toEqual(["ready one false"])
    await shares[Symbol.asyncDispose]()
  })

  test("can be disposed while it looks", async () => {
    const { shares, until } = looking([])
    await until(1)
    await shares[Symbol.asyncDispose]()
    await shares[Symbol.asyncDispose]()
    expect(shares.ready).toBe(false)
  })
})

describe("dialGuest()", () => {
  const signal = new AbortController().signal

  async function dialled(answer: string | undefined): Promise<string> {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, "connect")
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      socket.once("data", (line) => {
        if (answer === undefined) socket.destroy()
        else socket.write(`${answer}heard ${String(line).trim()}`)
      })
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      const socket = await dialGuest({ connect: path, port: 1027 }, signal)
      const text = await new Promise<string>((resolve) =>
        socket.once("data", (chunk) => resolve(String(chunk))),
      )
      socket.destroy()
      return text
    } finally {
      server.close()
    }
  }

  test("leaves what follows the acceptance to its caller", async () => {
    expect(await dialled("OK 1073741824\n")).toBe("heard CONNECT 1027")
  })

  test.each([[undefined], ["NO\n"], ["x".repeat(100)]])("rejects %j as unreachable", async (answer) => {
    await expect(dialled(answer)).rejects.toMatchObject({ code: "unreachable" })
  })

  test("rejects where there is no bridge", async () => {
    await expect(dialGuest({ connect: "/nowhere/connect", port: 1 }, signal)).rejects.toMatchObject({
      code: "unreachable",
    })
  })
})

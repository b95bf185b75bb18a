/**
 * The compliance suite of the vsock role (contract/src/vsock.ts): who connects on either side meets the other, byte for byte, and hears the end.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto"
import { existsSync, lstatSync, statSync } from "node:fs"
import type { Duplex } from "node:stream"
import { describe, expect, it } from "vitest"
import {
  DEAD_SERVICE,
  FIRECRACKER_SERVICE,
  FORWARDED_PORT,
  GUEST_PORT,
  HYPERKIT_SERVICE,
  hex,
  MAPPED_PORT,
  MAPPED_SERVICE,
  paths,
  UNTOLD_SERVICE,
  type VsockFixture,
  type VsockSuite,
} from "./vsock-fixture.ts"
import { closed, echo, ended, greet, open, pair, service, take, takeAll, takeLine } from "./vsock-streams.ts"

const DIALECTS = ["hyperkit", "firecracker"] as const
const MUCH = 4 << 20
const MANY = 50

type Check = (name: string, run: (fixture: VsockFixture) => Promise<void>) => void

/** Declares the suite with vitest. Throws where a gap names no case. */
export function vsockContract(suite: VsockSuite): void {
  describe(`vsock contract: ${suite.name}`, () => {
    const names = new Set<string>()
    const check: Check = (name, run) => {
      names.add(name)
      const gap = suite.gaps?.[name]
      const reason = suite.unavailable ?? (gap === undefined ? undefined : `gap: ${gap}`)
      if (reason !== undefined) {
        it.skip(`${name} (${reason})`, () => undefined)
        return
      }
      it(name, async () => {
        await using fixture = await suite.open()
        await run(fixture)
      })
    }
    greetingCases(check)
    socketCases(check)
    serviceCases(check)
    endCases(check)
    hangUpCases(check)
    loadCases(check)
    const unknown = Object.keys(suite.gaps ?? {}).filter((name) => !names.has(name))
    if (unknown.length > 0) throw new Error(`no case has the name of the gap "${unknown.join('", "')}"`)
  })
}

function greetingCases(check: Check): void {
  check("reaches a port of the guest in HyperKit's dialect, without an answer", async (fixture) => {
    await using _echo = await echo(fixture.guest)
    const client = await greet(fixture.setup, "hyperkit", "to the guest and back")
    expect(String(await take(client, 21))).toBe("to the guest and back")
    client.destroy()
  })
  check("reaches it in Firecracker's, and answers OK with the host's port", async (fixture) => {
    await using _echo = await echo(fixture.guest)
    const client = await greet(fixture.setup, "firecracker")
    expect(await takeLine(client)).toMatch(/^OK [0-9]{1,10}$/)
    client.write("to the guest and back")
    expect(String(await take(client, 21))).toBe("to the guest and back")
    client.destroy()
  })
  check(
    "answers before the guest's first byte, and takes payload right behind the greeting",
    async (fixture) => {
      await using _hello = await fixture.guest.listen(GUEST_PORT, (stream) => {
        stream.write("first")
        stream.pipe(stream)
      })
      const client = await greet(fixture.setup, "firecracker", " and payload")
      expect(await takeLine(client)).toMatch(/^OK /)
      expect(String(await take(client, 17))).toBe("first and payload")
      client.destroy()
    },
  )
  check("takes a greeting that comes in pieces", async (fixture) => {
    await using _echo = await echo(fixture.guest)
    for (const dialect of DIALECTS) {
      const { guestCid, udsPath } = fixture.setup
      const client = await open(dialect === "hyperkit" ? paths.connect(fixture.setup) : udsPath)
      const greeting =
        dialect === "hyperkit" ? `${hex(guestCid)}.${hex(GUEST_PORT)}\n` : `connect ${GUEST_PORT}\n`
      for (const byte of `${greeting}x`) {
        await new Promise((resolve) => {
          client.write(byte, resolve)
        })
      }
      if (dialect === "firecracker") expect(await takeLine(client)).toMatch(/^OK /)
      expect(String(await take(client, 1))).toBe("x")
      client.destroy()
    }
  })
  check("hangs up without a word on a client whose port the guest refuses", async (fixture) => {
    for (const dialect of DIALECTS) {
      const client = await greet(fixture.setup, dialect, "", 6)
      expect(String(await takeAll(client))).toBe("")
      client.destroy()
    }
  })
  check("hangs up on a greeting that is none", async (fixture) => {
    const { guestCid } = fixture.setup
    const wrong = ["GET / HTTP/1.1\r\n", `${hex(guestCid + 1)}.${hex(GUEST_PORT)}\n`, "CONNECT port\n"]
    await using _echo = await echo(fixture.guest)
    for (const path of [paths.connect(fixture.setup), fixture.setup.udsPath]) {
      for (const greeting of [...wrong, `CONNECT ${" ".repeat(40)}1`]) {
        const client = await open(path)
        client.write(greeting)
        expect(String(await takeAll(client))).toBe("")
        client.destroy()
      }
    }
  })
}

function socketCases(check: Check): void {
  check("needs no greeting on the socket of a forward, nor on the link to it", async (fixture) => {
    await using _echo = await echo(fixture.guest, FORWARDED_PORT)
    for (const path of [paths.forward(fixture.setup), paths.forwardLink(fixture.setup)]) {
      const client = await open(path)
      client.write("no greeting")
      expect(String(await take(client, 11))).toBe("no greeting")
      client.destroy()
    }
  })
  check("needs no greeting on the socket of a port map", async (fixture) => {
    await using _echo = await echo(fixture.guest, MAPPED_PORT)
    const client = await open(paths.map(fixture.setup, "connect"))
    client.write("no greeting")
    expect(String(await take(client, 11))).toBe("no greeting")
    client.destroy()
  })
  check("creates its sockets for this user alone", async ({ setup }) => {
    const sockets = [paths.connect(setup), paths.forward(setup), setup.udsPath, paths.map(setup, "connect")]
    expect(sockets.map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600, 0o600, 0o600])
  })
  check("hangs up on everybody when it stops, and leaves no socket", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    const endpoints = [...fixture.vsock.endpoints]
    expect(endpoints.every((path) => lstatSync(path).isSocket() || lstatSync(path).isSymbolicLink())).toBe(
      true,
    )
    const both = [ended(host), ended(inGuest)]
    await fixture.vsock[Symbol.asyncDispose]()
    await Promise.all(both)
    expect(endpoints.filter((path) => existsSync(path))).toEqual([])
    host.destroy()
    inGuest.destroy()
  })
}

function serviceCases(check: Check): void {
  const reaches = async ({ guest }: VsockFixture, path: string, port: number): Promise<void> => {
    await using _service = await service(path, `this is ${port}`)
    const stream = await guest.connect(port)
    expect(String(await takeAll(stream))).toBe(`this is ${port}`)
    stream.destroy()
  }
  check("leads the guest to a service in the directory", async (fixture) => {
    await reaches(fixture, paths.service(fixture.setup, HYPERKIT_SERVICE), HYPERKIT_SERVICE)
  })
  check("leads the guest to a service beside Firecracker's socket", async (fixture) => {
    await reaches(fixture, paths.firecrackerService(fixture.setup, FIRECRACKER_SERVICE), FIRECRACKER_SERVICE)
  })
  check("leads the guest to the service of a port map", async (fixture) => {
    await reaches(fixture, paths.map(fixture.setup, "listen"), MAPPED_SERVICE)
  })
  check("leads the guest to a service on a port that nobody told of", async (fixture) => {
    await reaches(fixture, paths.service(fixture.setup, UNTOLD_SERVICE), UNTOLD_SERVICE)
  })
  check("refuses the guest where there never was a service", async ({ guest }) => {
    await expect(guest.connect(UNTOLD_SERVICE)).rejects.toThrow(Error)
  })
  check("refuses the guest where the service is gone", async ({ guest }) => {
    await expect(guest.connect(DEAD_SERVICE)).rejects.toThrow(Error)
  })
  check("never leaves the guest waiting where the service is gone", async ({ guest }) => {
    const stream = await guest.connect(DEAD_SERVICE).catch(() => undefined)
    if (stream !== undefined) expect(String(await takeAll(stream))).toBe("")
    stream?.destroy()
  })
}

function endCases(check: Check): void {
  check("passes on the host's end and still carries what the guest says", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    host.end("last words")
    expect(String(await takeAll(inGuest))).toBe("last words")
    inGuest.end("an answer")
    expect(String(await takeAll(host))).toBe("an answer")
    await Promise.all([closed(host), closed(inGuest)])
  })
  check("passes on the guest's end and still carries what the host says", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    inGuest.end("last words")
    expect(String(await takeAll(host))).toBe("last words")
    host.end("an answer")
    expect(String(await takeAll(inGuest))).toBe("an answer")
    await Promise.all([closed(host), closed(inGuest)])
  })
  check("counts a stream while there is one", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    expect((await fixture.vsock.status()).streams).toBe(1)
    host.end()
    inGuest.end()
    await Promise.all([takeAll(host), takeAll(inGuest)])
    await expect.poll(async () => (await fixture.vsock.status()).streams).toBe(0)
  })
}

function hangUpCases(check: Check): void {
  /** Writes for as long as the stream takes it. */
  const flood = (stream: Duplex): void => {
    const more = (): void => {
      while (!stream.destroyed && stream.write(Buffer.alloc(16_384))) continue
    }
    stream.on("drain", more)
    stream.on("error", () => stream.destroy())
    more()
  }
  check("tells a guest that listens of a client that hung up", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    host.write("half a sente")
    expect(String(await take(inGuest, 12))).toBe("half a sente")
    host.destroy()
    await ended(inGuest)
    inGuest.destroy()
  })
  check("tells a guest that writes of a client that hung up", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    flood(inGuest)
    await take(host, 1)
    host.destroy()
    await closed(inGuest)
  })
  check("tells a client that listens of a guest that hung up", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    inGuest.write("half a sente")
    expect(String(await take(host, 12))).toBe("half a sente")
    inGuest.destroy()
    await ended(host)
    host.destroy()
  })
  check("tells a client that writes of a guest that hung up", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    flood(host)
    await take(inGuest, 1)
    inGuest.destroy()
    await closed(host)
  })
}

function loadCases(check: Check): void {
  check("carries 4 MiB each way at the same time, unchanged", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    const [down, up] = [randomBytes(MUCH), randomBytes(MUCH)]
    host.end(down)
    inGuest.end(up)
    const [atGuest, atHost] = await Promise.all([takeAll(inGuest), takeAll(host)])
    expect([digest(atGuest), digest(atHost)]).toEqual([digest(down), digest(up)])
  })
  check("keeps what a reader has not read yet, and no more than its buffers", async (fixture) => {
    const { host, inGuest } = await pair(fixture)
    const sent = randomBytes(MUCH)
    inGuest.end(sent)
    // The client reads nothing while another stream of the same machine is served.
    await using _echo = await echo(fixture.guest)
    const other = await greet(fixture.setup, "hyperkit", "meanwhile")
    expect(String(await take(other, 9))).toBe("meanwhile")
    other.destroy()
    expect(inGuest.writableFinished).toBe(false)
    expect(digest(await takeAll(host))).toBe(digest(sent))
    host.destroy()
  })
  check("carries 50 streams at a time, each its own", async (fixture) => {
    await using _echo = await echo(fixture.guest)
    const texts = Array.from({ length: MANY }, (_, index) => `stream ${index} ${"x".repeat(index * 100)}`)
    const clients = await Promise.all(
      texts.map((text, index) => greet(fixture.setup, DIALECTS[index % 2] ?? "hyperkit", text)),
    )
    // All are there before the first ends.
    for (const [index, client] of clients.entries()) {
      if (index % 2 === 1) expect(await takeLine(client)).toMatch(/^OK /)
      expect(String(await take(client, texts[index]?.length ?? 0))).toBe(texts[index])
    }
    expect((await fixture.vsock.status()).streams).toBe(MANY)
    for (const client of clients) client.end()
    await Promise.all(clients.map((client) => takeAll(client)))
  })
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex")
}

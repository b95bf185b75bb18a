import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Client, clientsMeet, parseClient } from "../../src/exports/clients.ts"
import * as linux from "../../src/exports/linux.ts"
import * as macos from "../../src/exports/macos.ts"
import { BY_HAND, DLITE, foreignFile, LINUX, MINIKUBE, VAGRANT, XHYVE } from "./files.ts"

const path = fc
  .array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 })
  .map((parts) => `/${parts.map((part) => part.replace(/[/\p{Cc}]/gu, "_")).join("/")}`)

describe("exports of macOS", () => {
  it("reads what others have written, and whose it is", () => {
    const file = [VAGRANT, XHYVE, MINIKUBE, DLITE, BY_HAND].join("\n")
    expect(
      macos.entriesIn(file).map(({ line, paths, owner, readOnly }) => ({ line, paths, owner, readOnly })),
    ).toStrictEqual([
      { line: 2, paths: ["/Users/me/project"], owner: "vagrant", readOnly: false },
      { line: 3, paths: ["/Users/me/other one"], owner: "vagrant", readOnly: false },
      { line: 6, paths: ["/Users"], owner: "docker-machine-driver-xhyve", readOnly: false },
      { line: 9, paths: ["/Users"], owner: "minikube-hyperkit", readOnly: false },
      { line: 12, paths: ["/Users"], owner: "dlite", readOnly: false },
      { line: 16, paths: ["/usr", "/usr/local"], owner: "somebody", readOnly: false },
      { line: 17, paths: ["/u"], owner: "somebody", readOnly: false },
      { line: 18, paths: ["/cdrom"], owner: "somebody", readOnly: false },
      { line: 21, paths: ["/a b"], owner: "somebody", readOnly: false },
      { line: 22, paths: ["/everyone"], owner: "somebody", readOnly: true },
    ])
  })

  it("reads its own lines again, with any path", () => {
    fc.assert(
      fc.property(fc.array(path, { minLength: 1, maxLength: 3 }), fc.boolean(), (paths, readOnly) => {
        const line = macos.emitLine({ paths, readOnly, uid: 501, gid: 20, client: "192.168.64.0/24" })
        expect(line).not.toContain("\n")
        expect(line).toMatch(/^"\/.*" -mapall=/)
        expect(macos.entriesIn(line)).toMatchObject([
          { paths, readOnly, clients: [parseClient("192.168.64.0/24")] },
        ])
      }),
    )
  })

  it.each([
    ["192.168.64.2", '"/a b" -mapall=501:20 -alldirs 192.168.64.2'],
    ["192.168.64.0/20", '"/a b" -mapall=501:20 -alldirs -network 192.168.64.0 -mask 255.255.240.0'],
    ["fd00::/64", '"/a b" -mapall=501:20 -alldirs -network=fd00::/64'],
  ])("writes for %s", (client, line) => {
    expect(macos.emitLine({ paths: ["/a b"], readOnly: false, uid: 501, gid: 20, client })).toBe(line)
  })
})

describe("exports of Linux", () => {
  it("reads what others have written", () => {
    const found = linux
      .entriesIn(LINUX)
      .map(({ line, paths, clients, readOnly }) => ({ line, paths, count: clients.length, readOnly }))
    expect(found).toStrictEqual([
      { line: 2, paths: ["/srv/homes"], count: 2, readOnly: false },
      { line: 3, paths: ["/srv/nfs4"], count: 1, readOnly: false },
      { line: 4, paths: ["/srv/with space"], count: 2, readOnly: false },
      { line: 5, paths: ["/srv/octal name"], count: 2, readOnly: false },
      { line: 7, paths: ["/srv/defaults"], count: 2, readOnly: false },
      { line: 8, paths: ["/srv/world"], count: 1, readOnly: true },
    ])
  })

  it("reads its own lines again, with any path", () => {
    fc.assert(
      fc.property(path, fc.boolean(), (one, readOnly) => {
        const line = linux.emitLine({ path: one, readOnly, uid: 1000, gid: 1000, client: "10.0.2.0/24" })
        expect(line).toMatch(/^[\x21-\x7e]+ 10\.0\.2\.0\/24\([\x21-\x7e]+\)$/)
        expect(linux.entriesIn(line)).toMatchObject([
          { paths: [one], readOnly, clients: [parseClient("10.0.2.0/24")] },
        ])
      }),
    )
  })

  it("gives a path the same identity each time, in a form that exportfs takes", () => {
    expect(linux.fsidOf("/srv")).toBe(linux.fsidOf("/srv"))
    expect(linux.fsidOf("/srv")).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(linux.fsidOf("/srv")).not.toBe(linux.fsidOf("/srv2"))
  })
})

it("no file is too odd to be read", () => {
  fc.assert(
    fc.property(fc.oneof(foreignFile, fc.string({ unit: "binary" })), (file) => {
      macos.entriesIn(file)
      linux.entriesIn(file)
    }),
  )
})

describe("clientsMeet()", () => {
  const client = (text: string, mask?: string): Client => parseClient(text, mask)

  it.each([
    ["10.0.0.1", "10.0.0.1", true],
    ["10.0.0.1", "10.0.0.2", false],
    ["10.0.0.0/24", "10.0.0.200", true],
    ["10.0.0.0/255.255.255.0", "10.0.1.0", false],
    ["10.0.0.0/8", "10.200.0.0/16", true],
    ["131.104.48", "131.104.48.7", true],
    ["fd00::/64", "fd00::1:2", true],
    ["fd00::/64", "10.0.0.1", false],
    ["::ffff:10.0.0.1", "::ffff:a00:1", true],
    ["*", "10.0.0.1", true],
    ["friends", "FRIENDS", true],
    ["friends", "10.0.0.1", false],
    ["10.0.0.0/255.0.255.0", "10.0.0.1", false],
    ["10.0.0.0/33", "10.0.0.1", false],
  ])("%s and %s: %s", (one, other, meet) => {
    expect(clientsMeet(client(one), client(other))).toBe(meet)
    expect(clientsMeet(client(other), client(one))).toBe(meet)
  })

  it("finds every address in its own networks, and no other", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (a, b, bits) => {
        const network = client(`${a}/${bits}`)
        expect(clientsMeet(network, client(a))).toBe(true)
        const number = (address: string): number =>
          address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0)
        const size = 2 ** (32 - bits)
        expect(clientsMeet(network, client(b))).toBe(
          Math.floor(number(a) / size) === Math.floor(number(b) / size),
        )
      }),
    )
  })

  it("reads every IPv6 address", () => {
    fc.assert(
      fc.property(fc.ipV6(), (a) => {
        expect(clientsMeet(client(a), client(a))).toBe(true)
      }),
    )
  })
})

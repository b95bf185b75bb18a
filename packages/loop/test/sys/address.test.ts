import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, parse, SOCKADDR_SIZE, type SocketAddress, UNIX_PATH_MAX } from "../../src/sys/address.ts"

const port = fc.nat({ max: 65535 })
const addresses: fc.Arbitrary<SocketAddress> = fc.oneof(
  fc.record({ family: fc.constant("inet" as const), address: fc.ipV4(), port }),
  fc
    .record({ family: fc.constant("inet6" as const), address: fc.ipV6(), port })
    .map(({ address, ...rest }) => ({
      ...rest,
      address: new URL(`http://[${address}]`).hostname.slice(1, -1),
    })),
  fc.record({
    family: fc.constant("vsock" as const),
    cid: fc.nat({ max: 0xffff_ffff }),
    port: fc.nat({ max: 0xffff_ffff }),
  }),
  fc
    .string({ maxLength: 30, unit: "grapheme" })
    .filter((path) => !path.includes("\0") && Buffer.from(path).toString() === path)
    .map((path) => ({ family: "unix" as const, path })),
  fc.string({ maxLength: 30 }).map((name) => ({ family: "unix" as const, path: `\0${name}` })),
)

describe("socket addresses", () => {
  it("parse ∘ emit = id", () => {
    fc.assert(
      fc.property(addresses, (address) => {
        const bytes = emit(address)
        if (typeof bytes === "string") throw new Error(bytes)
        expect(parse(bytes, bytes.length)).toEqual(address)
      }),
    )
  })

  it("parse() takes any bytes without throwing", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: SOCKADDR_SIZE }),
        fc.nat({ max: SOCKADDR_SIZE }),
        (bytes, length) => {
          parse(bytes, length)
        },
      ),
    )
  })

  it("emit() has the bytes of the manual pages", () => {
    expect(emit({ family: "inet", address: "127.0.0.1", port: 0x1234 })).toEqual(
      new Uint8Array([2, 0, 0x12, 0x34, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
    )
    expect(emit({ family: "inet6", address: "fe80::1.2.3.4", port: 80, scope: 3 })).toEqual(
      new Uint8Array([
        10, 0, 0, 80, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 3, 0, 0, 0,
      ]),
    )
    expect(emit({ family: "vsock", cid: 0xffff_fffe, port: 0x0102_0304 })).toEqual(
      new Uint8Array([40, 0, 0, 0, 4, 3, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    )
    expect(emit({ family: "unix", path: "/s" })).toEqual(new Uint8Array([1, 0, 0x2f, 0x73, 0]))
    expect(emit({ family: "unix", path: "\0s" })).toEqual(new Uint8Array([1, 0, 0, 0x73]))
  })

  it("emit() says path-too-long by bytes, and bad-address", () => {
    expect(emit({ family: "unix", path: "x".repeat(UNIX_PATH_MAX) })).toHaveLength(110)
    expect(emit({ family: "unix", path: "x".repeat(UNIX_PATH_MAX + 1) })).toBe("path-too-long")
    expect(emit({ family: "unix", path: "é".repeat(54) })).toBe("path-too-long")
    expect(emit({ family: "unix", path: "a\0b" })).toBe("bad-address")
    expect(emit({ family: "inet", address: "127.0.0.256", port: 1 })).toBe("bad-address")
    expect(emit({ family: "inet", address: "127.0.0.1", port: 65536 })).toBe("bad-address")
    expect(emit({ family: "inet6", address: "127.0.0.1", port: 1 })).toBe("bad-address")
    expect(emit({ family: "vsock", cid: 3, port: 2 ** 32 })).toBe("bad-address")
    expect(emit({ family: "vsock", cid: -1, port: 1 })).toBe("bad-address")
    expect(emit({ family: "inet6", address: "fe80::1%1", port: 1 })).toBe("bad-address")
  })
})

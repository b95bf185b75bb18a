import { PoolMemory } from "@skep/link"
import { describe, expect, it } from "vitest"
import { screen } from "../../src/ip/screening.ts"
import { frameOf, GATEWAY, packetBytes, packetOf } from "./guest.ts"

const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })

describe("screen()", () => {
  it.each([
    ["192.168.64.2", "8.8.8.8", 6, undefined],
    ["192.168.64.2", "192.168.64.1", 17, undefined],
    ["fd00:64::2", "2001:db8::1", 6, undefined],
    ["fe80::2", "fe80::5894:efff:fee4:cdd", 58, undefined],
    ["fe80::2", "fd00:64::1", 58, undefined],
    ["fe80::2", "ff02::2", 58, undefined],
    ["0.0.0.0", "255.255.255.255", 17, undefined],
    ["::", "ff02::1:ff00:1", 58, undefined],
    ["0.0.0.0", "192.168.64.1", 17, "source-unspecified"],
    ["0.0.0.0", "255.255.255.255", 6, "source-unspecified"],
    ["::", "fd00:64::1", 58, "source-unspecified"],
    ["::", "ff02::2", 17, "source-unspecified"],
    ["192.168.64.1", "192.168.64.1", 6, "source-ours"],
    ["192.168.64.254", "8.8.8.8", 6, "source-ours"],
    ["fd00:64::1", "fd00:64::1", 6, "source-ours"],
    ["127.0.0.1", "192.168.64.1", 17, "source-loopback"],
    ["::1", "fd00:64::1", 17, "source-loopback"],
    ["224.0.0.1", "192.168.64.1", 17, "source-for-many"],
    ["255.255.255.255", "192.168.64.1", 17, "source-for-many"],
    ["192.168.64.255", "192.168.64.1", 17, "source-for-many"],
    ["192.168.64.0", "192.168.64.1", 17, "source-for-many"],
    ["ff02::1", "fd00:64::1", 17, "source-for-many"],
    ["10.0.0.1", "192.168.64.1", 17, "source-elsewhere"],
    ["fd00:65::2", "fd00:64::1", 17, "source-elsewhere"],
    ["fe80::2", "2001:db8::1", 6, "source-scope"],
    ["192.168.64.2", "0.0.0.0", 17, "destination-unspecified"],
    ["fd00:64::2", "::", 17, "destination-unspecified"],
    ["192.168.64.2", "127.0.0.1", 17, "destination-loopback"],
    ["fd00:64::2", "::1", 17, "destination-loopback"],
  ] as const)("%s to %s, protocol %i: %s", (from, to, protocol, expected) => {
    const frame = frameOf(memory, packetBytes({ from, to, protocol, payload: new Uint8Array(24) }))
    expect(screen(GATEWAY, frame.bytes, packetOf(frame))).toBe(expected)
  })
})

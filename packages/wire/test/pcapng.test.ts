import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { u16le, u32le } from "../src/bytes.ts"
import { describeInterface, packet, STATISTICS_SIZE, section, statistics } from "../src/pcapng.ts"
import { hex, toHex } from "./hex.ts"

/** scapy: Ether()/ARP(), as in ethernet.test.ts. */
const FRAME = hex("ffffffffffff0200000000010806 0001080006040001020000000001c0a84002000000000000c0a84001")
const TIME = 1_700_000_000_123_456_789n

const tshark = spawnSync("tshark", ["--version"]).status === 0
if (!tshark) process.stdout.write("skipped: tshark judges a capture (tshark is not installed)\n")

/** The blocks of a file, each with its options by code, or an error. */
function blocks(file: Uint8Array): { type: number; body: Uint8Array; size: number }[] {
  const found = []
  for (let at = 0; at < file.length; ) {
    const size = u32le(file, at + 4)
    if (size < 12 || size % 4 !== 0 || u32le(file, at + size - 4) !== size) throw new Error(`at ${at}`)
    found.push({ type: u32le(file, at), body: file.slice(at + 8, at + size - 4), size })
    at += size
  }
  return found
}

function options(body: Uint8Array, from: number): Map<number, string> {
  const found = new Map<number, string>()
  for (let at = from; at < body.length; ) {
    const length = u16le(body, at + 2)
    if (u16le(body, at) !== 0) found.set(u16le(body, at), toHex(body.subarray(at + 4, at + 4 + length)))
    at += 4 + Math.ceil(length / 4) * 4
  }
  return found
}

function join3(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}

describe("a capture", () => {
  it("begins as the draft, section 4.1 draws it", () => {
    expect(toHex(section())).toBe("0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000")
  })

  it("says what became of an interface's packets, as section 4.6 draws it", () => {
    const block = statistics({ interface: 3, timeNanoseconds: TIME, received: 2 ** 33 + 7, dropped: 5 })
    expect(block.length).toBe(STATISTICS_SIZE)
    const [only, ...more] = blocks(block)
    expect([only?.type, more.length]).toEqual([5, 0])
    const body = only?.body ?? new Uint8Array(0)
    expect(u32le(body, 0)).toBe(3)
    expect((BigInt(u32le(body, 4)) << 32n) + BigInt(u32le(body, 8))).toBe(TIME)
    expect([...options(body, 12)]).toEqual([
      [4, "0700000002000000"],
      [5, "0500000000000000"],
    ])
  })

  it("has blocks of the lengths they say, whatever is in them", () => {
    const texts = fc.option(fc.string({ maxLength: 40, unit: "grapheme" }), { nil: undefined })
    fc.assert(
      fc.property(texts, fc.uint8Array({ maxLength: 99 }), fc.bigInt(0n, 2n ** 63n), (text, bytes, time) => {
        const words = text === undefined ? {} : { comment: text, name: text, application: text }
        const info = { ...words, interface: 0, timeNanoseconds: time, originalLength: 2000 }
        const file = join3(section(words), describeInterface(words), packet(info, bytes, 0, bytes.length))
        const [first, second, third, ...more] = blocks(file)
        expect([first?.type, second?.type, third?.type, more.length]).toEqual([0x0a0d0d0a, 1, 6, 0])
        const body = third?.body ?? new Uint8Array(0)
        expect((BigInt(u32le(body, 4)) << 32n) + BigInt(u32le(body, 8))).toBe(time)
        expect([u32le(body, 12), u32le(body, 16)]).toEqual([bytes.length, 2000])
        expect(toHex(body.subarray(20, 20 + bytes.length))).toBe(toHex(bytes))
        const comment = text === undefined ? undefined : Buffer.from(text).toString("hex")
        expect(options(body, 20 + Math.ceil(bytes.length / 4) * 4).get(1)).toBe(comment)
      }),
    )
  })

  it("cuts text that no option can hold", () => {
    const [block] = blocks(describeInterface({ comment: "x".repeat(70_000) }))
    expect(options(block?.body ?? new Uint8Array(0), 8).get(1)?.length).toBe(2 * 0xffff)
  })

  it.skipIf(!tshark)("is read by tshark", () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-pcapng-"))
    try {
      const path = join(directory, "a.pcapng")
      const info = { interface: 1, timeNanoseconds: TIME, direction: "out", comment: "a fault" } as const
      const file = join3(
        section({ application: "skep" }),
        describeInterface({ name: "one" }),
        describeInterface({ name: "two", description: "a machine" }),
        packet(info, FRAME, 0, FRAME.length),
        packet({ interface: 0, timeNanoseconds: TIME + 1n, originalLength: 900 }, FRAME, 0, 30),
      )
      writeFileSync(path, file)
      const fields = [
        "frame.interface_name",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.comment",
        "frame.packet_flags_direction",
        "arp.opcode",
      ]
      const shown = execFileSync(
        "tshark",
        ["-r", path, "-T", "fields", ...fields.flatMap((f) => ["-e", f])],
        { stdio: ["ignore", "pipe", "ignore"] },
      )
      expect(shown.toString().trimEnd().split("\n")).toEqual([
        "two\t1700000000.123456789\t42\t42\ta fault\t0x00000002\t1",
        "one\t1700000000.123456790\t900\t30\t\t\t1",
      ])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

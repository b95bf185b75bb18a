/** The facts: a real answer of a guest, rows that are wrong, and anything at all; and the awk program that makes them. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryDirectory } from "@skep/testkit"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { parseFacts } from "../../src/agent/lines/facts.ts"
import { parseV4, parseV6 } from "../../src/agent/lines/socket-address.ts"

const REAL = [
  "address lo ::1/128 host",
  "address eth0 10.0.2.15/24 global",
  "disk 4046560 332",
  "load 0.07 0.03 0.01",
  "uptime 54.53",
  "memory MemTotal 996512",
  "memory MemAvailable 762288",
  "tcp 0100007F:0016",
  "tcp6 00000000000000000000000000000000:0050",
  "udp 00000000:0044",
  "pressure memory some avg10=1.50 avg60=0.00 avg300=0.00 total=1234",
  "pressure memory full avg10=0.00 avg60=0.00 avg300=0.00 total=0",
]
const FACTS = {
  uptimeMs: 54530,
  load: { one: 0.07, five: 0.03, fifteen: 0.01 },
  memory: { totalBytes: 996512 * 1024, availableBytes: 762288 * 1024 },
  memoryPressure: {
    some: { avg10Percent: 1.5, avg60Percent: 0, avg300Percent: 0, totalMs: 1.234 },
    full: { avg10Percent: 0, avg60Percent: 0, avg300Percent: 0, totalMs: 0 },
  },
  dataDisk: { totalBytes: 4046560 * 1024, usedBytes: 332 * 1024 },
  addresses: [
    { interface: "lo", address: "::1", prefixLength: 128, scope: "host" },
    { interface: "eth0", address: "10.0.2.15", prefixLength: 24, scope: "global" },
  ],
  listeners: [
    { transport: "tcp", address: "127.0.0.1", port: 22 },
    { transport: "tcp", address: "::", port: 80 },
    { transport: "udp", address: "0.0.0.0", port: 68 },
  ],
  truncated: [],
}
const split = (rows: readonly string[]): string[][] => rows.map((row) => row.split(" "))

describe("parseFacts()", () => {
  test("reads the answer of a guest into plain JSON", () => {
    const read = parseFacts(split(REAL))
    expect(read).toEqual({ facts: FACTS, ignored: 0 })
    expect(JSON.parse(JSON.stringify(read.facts))).toEqual(FACTS)
  })

  test("leaves out what a guest has not", () => {
    const { facts } = parseFacts(split(REAL.filter((row) => !/^(disk|pressure)/.test(row))))
    expect(facts).not.toHaveProperty("dataDisk")
    expect(facts).not.toHaveProperty("memoryPressure")
  })

  test.each(["uptime", "load", "memory MemTotal", "memory MemAvailable"])("has none without %s", (key) => {
    expect(parseFacts(split(REAL.filter((row) => !row.startsWith(key)))).facts).toBeUndefined()
  })

  test.each([
    "address eth0 10.0.2.15/33 global",
    "address eth0 10.0.2.15 global",
    "address eth0 10.0.2.999/24 global",
    "address eth0 10.0.2.15/24/24 global",
    "address \u001b[2J 10.0.2.15/24 global",
    "disk -1 332",
    "disk 4046560",
    "load 1 2",
    "memory SwapTotal 5",
    "pressure io some avg10=0.00 avg60=0.00 avg300=0.00 total=0",
    "pressure memory some avg10=0 avg60=0.00 avg300=0.00 total=0",
    "tcp 0100007F:00016",
    "tcp 0100007f:0016",
    "tcp6 0100007F:0016",
    "udp6 00000000000000000000000000000000:0050 x",
    "truncated",
    "__proto__ 1",
    "toString",
    "",
  ])("ignores %j and counts it", (row) => {
    expect(parseFacts(split([...REAL, row]))).toEqual({ facts: FACTS, ignored: 1 })
  })

  test("never throws", () => {
    const key = fc.constantFrom(
      "uptime",
      "load",
      "memory",
      "pressure",
      "disk",
      "address",
      "tcp",
      "tcp6",
      "udp6",
      "truncated",
    )
    const row = fc.tuple(
      fc.oneof(key, fc.string()),
      fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }),
    )
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const read = parseFacts(rows.map(([first, rest]) => [first, ...rest]))
        expect(read.ignored).toBeLessThanOrEqual(rows.length)
      }),
    )
  })
})

describe("socket addresses", () => {
  test("are in the kernel's byte order", () => {
    expect(parseV4("0F02000A:1F90")).toEqual({ address: "10.0.2.15", port: 8080 })
    expect(parseV6("00000000000000000000000001000000:0016")).toEqual({ address: "::1", port: 22 })
    expect(parseV6("000080FE00000000FF005450010000FE:0035")).toEqual({
      address: "fe80::5054:ff:fe00:1",
      port: 53,
    })
  })
})

const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync)

describe.skipIf(BUSYBOX === undefined)("facts.awk (needs busybox on the host)", () => {
  const program = join(import.meta.dirname, "../../rootfs/etc/init.d/facts.awk")
  const awk = (directory: string, files: Readonly<Record<string, string>>, input: string): string[][] => {
    const paths = Object.entries(files).map(([name, text]) => {
      const path = join(directory, name)
      mkdirSync(join(path, ".."), { recursive: true })
      writeFileSync(path, text)
      return path
    })
    const args = ["awk", "-v", "token=t", "-f", program, "-", ...paths]
    const out = execFileSync(BUSYBOX ?? "", args, { input, encoding: "utf8" })
    return out
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/^fact t /, "").split(" "))
  }
  const PRINTED = `1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever
2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST> link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff
Filesystem           1024-blocks    Used Available Capacity Mounted on
/dev/vdb                 4046560       332   4029844   0% /var/lib/skep
`
  const row = (local: string, state: string): string =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n`
  const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
  const FILES = {
    "proc/loadavg": "0.07 0.03 0.01 1/82 300\n",
    "proc/uptime": "54.53 90.00\n",
    "proc/meminfo": "MemTotal:         996512 kB\nMemFree:          1 kB\nMemAvailable:     762288 kB\n",
    "proc/net/tcp": HEAD + row("0100007F:0016", "0A") + row("0F02000A:0016", "01"),
    "proc/net/tcp6": HEAD + row(`${"0".repeat(32)}:0050`, "0A"),
    "proc/net/udp": HEAD + row("00000000:0044", "07") + row("0F02000A:0044", "01"),
    "proc/pressure/memory":
      "some avg10=1.50 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
  }

  test("makes of a guest's files what parseFacts() reads", async () => {
    await using directory = await temporaryDirectory()
    expect(parseFacts(awk(directory.path, FILES, PRINTED))).toEqual({ facts: FACTS, ignored: 0 })
  })

  test("ends a list that is too long, and says so", async () => {
    await using directory = await temporaryDirectory()
    const many = { ...FILES, "proc/net/tcp": HEAD + row("0100007F:0016", "0A").repeat(2000) }
    const { facts, ignored } = parseFacts(awk(directory.path, many, PRINTED))
    expect(ignored).toBe(0)
    expect(facts?.truncated).toEqual(["tcp"])
    expect(facts?.listeners.filter(({ port }) => port === 22)).toHaveLength(500)
  })
})

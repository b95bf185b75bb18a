import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Loop } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { captureFile, openTap, Switch, SystemMemory, TapLink, type TapOptions } from "../../src/index.ts"
import { network, whyNoNetwork } from "../tap/network.ts"

const MIB = 1024 * 1024
const TOTAL = 3 * MIB
const missing = whyNoNetwork()
if (missing !== "") process.stdout.write(`two kernels at one switch are skipped: ${missing}\n`)
const tshark = spawnSync("tshark", ["--version"]).status === 0

/** What byte stands where in the stream: no two places of a packet's distance are the same. */
const byteAt = (index: number): number => (index * 31 + (index >>> 8) * 7 + (index >>> 16)) & 0xff

describe.skipIf(missing !== "")("two kernels at one switch", () => {
  it.each<[string, Partial<TapOptions>]>([
    ["with offloads on both sides, passed on as they come", {}],
    ["with offloads on one side, finished and cut for the other", { vnetHeader: false }],
  ])(
    "speak TCP over both versions of IP, %s",
    (_, second) => {
      const directory = mkdtempSync(join(tmpdir(), "skep-switch-"))
      const path = join(directory, "switch.pcapng")
      using loop = new Loop()
      using memory = new SystemMemory({ heapBytes: 8 * MIB })
      using one = network()
      using two = network()
      const capture = captureFile(path, { snapLength: 0, maxBytes: 64 * MIB })
      const nothing = (): void => undefined
      const gateway = { onFrame: nothing, onSettle: nothing, onRoom: nothing, onCarrier: nothing }
      using fabric = new Switch({ gatewayAddress: 0x020000000001, gateway, clock: loop })
      const attach = (netns: string, host: number, more: Partial<TapOptions>) => {
        const addresses = [`10.8.0.${host}/24`, `fd00:8::${host}/64`]
        const device = openTap({ interfaceName: "eth0", netns, addresses, up: true, ...more })
        const name = `tap${host}`
        return fabric.attach(capture.wrap(new TapLink({ name, scope: loop.root, memory, device })))
      }
      const first = attach(one.path, 1, {})
      const other = attach(two.path, 2, second)
      using scratch = new Scratch(4 * MIB)
      const pattern = scratch.region("pattern", TOTAL)
      const got = scratch.region("got", 256 * 1024)
      for (let index = 0; index < TOTAL; index++) pattern.bytes[index] = byteAt(index)

      const transfer = (family: "inet" | "inet6"): void => {
        const number = family === "inet" ? sys.AF_INET : sys.AF_INET6
        const port = family === "inet" ? 7777 : 7778
        const type = sys.SOCK_STREAM | sys.SOCK_NONBLOCK
        const server = two.inside(() => sys.check(sys.socket(number, type), "socket"))
        const client = one.inside(() => sys.check(sys.socket(number, type), "socket"))
        let accepted = -1
        try {
          const any = family === "inet" ? "0.0.0.0" : "::"
          const address = family === "inet" ? "10.8.0.2" : "fd00:8::2"
          sys.check(sys.bind(server, { family, address: any, port }), "bind")
          sys.check(sys.listen(server, 1), "listen")
          // An IPv6 address is tentative for a second or two before it may be used.
          const patience = performance.now() + 20_000
          const until = (done: () => boolean): void => {
            while (!done() && performance.now() < patience) loop.step()
            expect(done()).toBe(true)
          }
          // An IPv6 address is tentative for a second or two, 0x40 in the third column from the end, and not used.
          const table = "/proc/thread-self/net/if_inet6"
          const tentative = (): boolean => /^fd00.* [4c][\da-f] +eth0$/m.test(readFileSync(table, "latin1"))
          until(() => family === "inet" || !(one.inside(tentative) || two.inside(tentative)))
          until(() => [0, -sys.EISCONN].includes(sys.connect(client, { family, address, port })))
          until(() => {
            if (accepted < 0) accepted = sys.accept(server, sys.SOCK_NONBLOCK)
            return accepted >= 0
          })
          for (const [from, to] of [
            [client, accepted],
            [accepted, client],
          ] as const) {
            let sent = 0
            let received = 0
            let right = true
            until(() => {
              if (sent < TOTAL) sent += Math.max(0, sys.send(from, pattern.address + sent, TOTAL - sent))
              const count = sys.receive(to, got.address, got.length)
              if (count > 0) {
                right &&=
                  Buffer.compare(
                    got.bytes.subarray(0, count),
                    pattern.bytes.subarray(received, received + count),
                  ) === 0
                received += count
              }
              return received === TOTAL
            })
            expect(right).toBe(true)
          }
        } finally {
          for (const fd of [server, client, accepted]) if (fd >= 0) sys.close(fd)
        }
      }

      try {
        transfer("inet")
        transfer("inet6")
        const { counters: out } = other
        const { counters: back } = first
        for (const counters of [out, back])
          expect(counters).toMatchObject({ tooLong: 0, noRoom: 0, unfinished: 0, spoofed: 0, storm: 0 })
        expect(first.counters.forwarded).toBeGreaterThan(50)
        capture[Symbol.dispose]()
        // Far fewer frames than packets of 1448 bytes are needed where nothing is cut.
        const packets = (4 * TOTAL) / 1448
        if (second.vnetHeader === false) expect(other.linkCounters.framesOut).toBeGreaterThan(packets / 2)
        else expect(other.linkCounters.framesOut).toBeLessThan(packets)
        if (!tshark) return
        const checks = ["tcp", "ip"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`])
        const bad = "tcp.checksum.status==Bad||ip.checksum.status==Bad||_ws.malformed"
        const judged = spawnSync("tshark", ["-r", path, ...checks, "-Y", bad], { encoding: "utf8" })
        expect(judged.stdout).toBe("")
      } finally {
        capture[Symbol.dispose]()
        rmSync(directory, { recursive: true })
      }
    },
    60_000,
  )
})

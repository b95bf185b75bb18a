// What /metrics shows of a network: in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats), line by line.

import { type Metric, renderMetrics } from "@skep/runtime"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { metricsOf } from "../src/metrics.ts"
import type { SkepNetworkStatus } from "../src/status.ts"
import type { MachineEntry } from "../src/thread/calls.ts"
import { PLAN } from "./gateway/rig.ts"

const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) .+$/
const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? -?\d+(\.\d+)?(e[-+]\d+)?$/

const WEB: MachineEntry = {
  name: "web",
  kind: "qemu",
  endpoint: "/tmp/web.sock",
  connected: true,
  mtu: 1500,
  flows: 3,
  keptBytes: 2048,
  backlogBytes: 17,
  counters: {
    framesIn: 5,
    bytesIn: 500,
    framesOut: 4,
    bytesOut: 400,
    noRoom: 9,
    droppedOut: 9,
    badSource: 2,
  },
}

function status(machines: readonly MachineEntry[]): SkepNetworkStatus {
  return {
    name: "test",
    driver: "loop",
    plan: PLAN,
    machines,
    policy: { mode: "open", closedPorts: [] },
    flows: { tcp: 1, udp: 2, icmp: 0 },
    forwards: [],
    leases: 6,
    refusals: {},
    memory: { heldBytes: 4096, maxHeldBytes: 8192, keptBytes: 2048, maxKeptBytes: 4096 },
    counters: { "tcp-opened": 7 },
  }
}

async function linesOf(machines: readonly MachineEntry[]): Promise<readonly string[]> {
  const shown = status(machines)
  const { body } = await renderMetrics("network", shown.counters, metricsOf(shown))
  return body.split("\n").filter((line) => line !== "")
}

describe("metricsOf()", () => {
  it("has what is there now, and each machine's frames", async () => {
    const lines = await linesOf([WEB, { ...WEB, name: "db", connected: false, counters: {} }])
    const own = lines.filter((line) => /^skep_network_(?!machine_dropped)/.test(line))
    expect(own).toMatchInlineSnapshot(`
      [
        "skep_network_tcp_opened_total 7",
        "skep_network_machines{state="up"} 1",
        "skep_network_machines{state="down"} 1",
        "skep_network_flows{protocol="tcp"} 1",
        "skep_network_flows{protocol="udp"} 2",
        "skep_network_flows{protocol="icmp"} 0",
        "skep_network_forwards 0",
        "skep_network_leases 6",
        "skep_network_memory_used_bytes 4096",
        "skep_network_memory_limit_bytes 8192",
        "skep_network_kept_bytes 2048",
        "skep_network_kept_limit_bytes 4096",
        "skep_network_machine_up{machine="web"} 1",
        "skep_network_machine_up{machine="db"} 0",
        "skep_network_machine_flows{machine="web"} 3",
        "skep_network_machine_flows{machine="db"} 3",
        "skep_network_machine_kept_bytes{machine="web"} 2048",
        "skep_network_machine_kept_bytes{machine="db"} 2048",
        "skep_network_machine_backlog_bytes{machine="web"} 17",
        "skep_network_machine_backlog_bytes{machine="db"} 17",
        "skep_network_machine_frames_total{machine="web",direction="from_machine"} 5",
        "skep_network_machine_frames_total{machine="web",direction="to_machine"} 4",
        "skep_network_machine_frames_total{machine="db",direction="from_machine"} 0",
        "skep_network_machine_frames_total{machine="db",direction="to_machine"} 0",
        "skep_network_machine_bytes_total{machine="web",direction="from_machine"} 500",
        "skep_network_machine_bytes_total{machine="web",direction="to_machine"} 400",
        "skep_network_machine_bytes_total{machine="db",direction="from_machine"} 0",
        "skep_network_machine_bytes_total{machine="db",direction="to_machine"} 0",
      ]
    `)
    const dropped = lines.filter((line) => line.startsWith("skep_network_machine_dropped_frames_total"))
    expect(dropped.filter((line) => !line.endsWith(" 0"))).toEqual([
      'skep_network_machine_dropped_frames_total{machine="web",reason="bad_source"} 2',
      'skep_network_machine_dropped_frames_total{machine="web",reason="no_room"} 9',
    ])
  })

  it("shows nothing of machines where there is none", async () => {
    expect((await linesOf([])).filter((line) => line.includes("machine_"))).toEqual([])
  })

  it("has as many series for each machine, whatever it has counted", () => {
    const perMachine = ({ samples }: Metric): number =>
      samples.filter(({ labels }) => labels?.["machine"]).length
    const sum = (machines: readonly MachineEntry[]): number =>
      metricsOf(status(machines)).reduce((before, metric) => before + perMachine(metric), 0)
    const one = sum([WEB])
    expect(one).toBe(22)
    expect(sum([WEB, { ...WEB, name: "db", counters: { unheard: 1 } }])).toBe(2 * one)
  })

  it("is read line by line, each series once, whatever machines are called", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.string(), { maxLength: 4 }), async (names) => {
        const lines = await linesOf(names.map((name) => ({ ...WEB, name })))
        expect(lines.filter((line) => !COMMENT.test(line) && !SAMPLE.test(line))).toEqual([])
        const series = lines
          .filter((line) => !line.startsWith("#"))
          .map((line) => line.replace(/ [^ ]+$/, ""))
        expect(new Set(series).size).toBe(series.length)
      }),
      { numRuns: 50 },
    )
  })

  it("ends counters in _total, and gauges never", async () => {
    const types = (await linesOf([WEB])).flatMap((line) => {
      const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
      return name === undefined ? [] : [{ name, type }]
    })
    expect(types.length).toBeGreaterThan(0)
    for (const { name, type } of types)
      expect([name, type === "counter"]).toEqual([name, name.endsWith("_total")])
  })
})

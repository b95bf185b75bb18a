/**
 * `/metrics` in the Prometheus text format (prom-client): the counters of a status, and this process.
 *
 * @module
 */
import type { Counters } from "@skep/contract"
import { Text } from "./routes.ts"

/** Renders the counters as `skep_SIDECAR_NAME_total`, with the memory and processor time of the process. */
export async function renderMetrics(sidecar: string, counters: Counters): Promise<Text> {
  // Two megabytes of memory that most processes never need.
  const { default: client } = await import("prom-client")
  const { Counter, Gauge, Registry } = client
  const registry = new Registry()
  const gauge = (name: string, help: string, value: number): void =>
    new Gauge({ name, help, registers: [registry] }).set(value)
  const prefix = `skep_${metricName(sidecar)}`
  for (const [name, value] of Object.entries(counters)) {
    new Counter({
      name: `${prefix}_${metricName(name)}_total`,
      help: `${name} since the start`,
      registers: [registry],
    }).inc(value)
  }
  const usage = process.resourceUsage()
  gauge("process_resident_memory_bytes", "Resident memory", process.memoryUsage.rss())
  gauge("process_cpu_seconds", "Processor time", (usage.userCPUTime + usage.systemCPUTime) / 1e6)
  gauge("process_uptime_seconds", "Time since the start", process.uptime())
  return new Text(await registry.metrics(), registry.contentType)
}

function metricName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/[^a-z0-9]+/g, "_")
}

/**
 * `/metrics` in the Prometheus text format (prom-client): the counters of a status, what else a sidecar measures, and this process.
 *
 * @module
 */
import type { Counters } from "@skep/contract"
import { Text } from "./routes.ts"

/** What a sidecar measures beside its counters: one name, a sample for each set of labels. */
export interface Metric {
  readonly kind: "gauge" | "counter"
  /** After `skep_SIDECAR_`: with its base unit, and `_total` for a counter. */
  readonly name: string
  readonly help: string
  /** Each has the same labels as the first. None, and the metric is not shown. */
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly value: number
  /** Of which there are few sets: each is a series that whoever reads them keeps. */
  readonly labels?: Readonly<Record<string, string>>
}

/** Renders the counters as `skep_SIDECAR_NAME_total`, and `metrics`, with the memory and processor time of the process. */
export async function renderMetrics(
  sidecar: string,
  counters: Counters,
  metrics: readonly Metric[] = [],
): Promise<Text> {
  // Two megabytes of memory that most processes never need.
  const { default: client } = await import("prom-client")
  const { Counter, Gauge, Registry } = client
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: number): void =>
    new Gauge({ name, help, registers }).set(value)
  const prefix = `skep_${metricName(sidecar)}`
  for (const [name, value] of Object.entries(counters)) {
    new Counter({
      name: `${prefix}_${metricName(name)}_total`,
      help: `${name} since the start`,
      registers,
    }).inc(value)
  }
  for (const { kind, name, help, samples } of metrics) {
    const [first] = samples
    if (first === undefined) continue
    const described = {
      name: `${prefix}_${name}`,
      help,
      labelNames: Object.keys(first.labels ?? {}),
      registers,
    }
    const metric = kind === "gauge" ? new Gauge(described) : new Counter(described)
    for (const { labels = {}, value } of samples) metric.inc(labels, value)
  }
  const usage = process.resourceUsage()
  gauge("process_resident_memory_bytes", "Resident memory", process.memoryUsage.rss())
  new Counter({ name: "process_cpu_seconds_total", help: "Processor time", registers }).inc(
    (usage.userCPUTime + usage.systemCPUTime) / 1e6,
  )
  gauge("process_uptime_seconds", "Time since the start", process.uptime())
  return new Text(await registry.metrics(), registry.contentType)
}

function metricName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/[^a-z0-9]+/g, "_")
}

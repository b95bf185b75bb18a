/**
 * Rows for people: a table, a Markdown section, and a chart.
 *
 * @module
 */
import { bestOf, type Row } from "./row.ts"

const digits = (value: number): string =>
  Number.isNaN(value)
    ? "-"
    : value >= 100
      ? value.toFixed(0)
      : value >= 1
        ? value.toFixed(2)
        : value.toFixed(3)

export function textTable(rows: readonly Row[]): string {
  const cells = [["", "ours", "peers", "ratio", "bar", "spread of ours"], ...rows.map((row) => cellsOf(row))]
  const widths =
    cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? []
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

export function markdownTable(rows: readonly Row[]): string {
  const head = ["| | ours | peers | ratio | bar | spread of ours |", "| --- | --- | --- | --- | --- | --- |"]
  const cell = (text: string): string => text.replaceAll("|", "\\|")
  return [...head, ...rows.map((row) => `| ${cellsOf(row).map(cell).join(" | ")} |`)].join("\n")
}

function cellsOf(row: Row): string[] {
  const peers = Object.entries(row.peers)
  const [least = Number.NaN, most = Number.NaN] = row.spread["ours"] ?? []
  const sign = row.better === "lower" ? "<=" : ">="
  const bars = row.bars ?? []
  return [
    `${row.ok ? "ok  " : "MISS"} ${row.name}`,
    `${digits(row.ours)} ${row.unit}`,
    peers.map(([name, value]) => `${name} ${digits(value)}`).join(", ") || "-",
    bars.length > 0
      ? bars.map(({ ratio }) => digits(ratio)).join(", ")
      : isAbsolute(row)
        ? "-"
        : row.ratio.toFixed(2),
    bars.length > 0
      ? bars.map(({ program, bar }) => `${sign} ${bar}x ${program || "the best"}`).join(", ")
      : `${sign} ${row.bar}${isAbsolute(row) ? ` ${row.unit}` : "x"}`,
    `${digits(least)} - ${digits(most)}`,
  ]
}

/** Whether the bar is for our own number. */
function isAbsolute(row: Row): boolean {
  return row.absolute === true || Object.keys(row.peers).length === 0
}

const BAR_HEIGHT = 18
const LABEL_WIDTH = 300
const CHART_WIDTH = 420

/** Bars of each row, scaled to the largest of that row; the dashed line is the bar to clear. */
export function svgChart(title: string, rows: readonly Row[]): string {
  const parts: string[] = []
  let y = 40
  for (const row of rows) {
    const entries = [["ours", row.ours] as const, ...Object.entries(row.peers)]
    const limit = limitOf(row)
    const largest =
      Math.max(...[limit, ...entries.map(([, value]) => value)].filter(Number.isFinite), 0) * 1.05
    parts.push(text(10, y + 13, row.name, "bold"))
    y += BAR_HEIGHT + 4
    const top = y
    for (const [name, value] of entries) {
      const width = Number.isFinite(value) ? Math.max(1, (value / largest) * CHART_WIDTH) : 1
      parts.push(text(24, y + 13, name))
      parts.push(
        `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT - 3}" fill="${name === "ours" ? "#c98a1b" : "#8a8f98"}"/>`,
      )
      parts.push(text(LABEL_WIDTH + width + 6, y + 12, `${digits(value)} ${row.unit}`))
      y += BAR_HEIGHT
    }
    const x = LABEL_WIDTH + (limit / largest) * CHART_WIDTH
    if (Number.isFinite(limit))
      parts.push(
        `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top - 3}" y2="${y}" stroke="#b3261e" stroke-dasharray="4 3"/>`,
      )
    y += 14
  }
  const size = `width="${LABEL_WIDTH + CHART_WIDTH + 110}" height="${y + 10}"`
  const font = 'font-family="system-ui, sans-serif" font-size="12"'
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n<rect width="100%" height="100%" fill="#ffffff"/>\n${text(10, 22, title, "bold")}\n${parts.join("\n")}\n</svg>\n`
}

/** What our number has to clear: of several bars, the hardest. */
function limitOf(row: Row): number {
  const first = Object.values(row.peers)[0]
  if (first === undefined || row.absolute === true) return row.bar
  if (row.bars === undefined) return row.bar * first
  const limits = row.bars
    .map(({ program, bar }) => bar * bestOf(row.peers, program, row.better))
    .filter(Number.isFinite)
  if (limits.length === 0) return Number.NaN
  return row.better === "lower" ? Math.min(...limits) : Math.max(...limits)
}

function text(x: number, y: number, content: string, weight = "normal"): string {
  const safe = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}" fill="#1f2328">${safe}</text>`
}

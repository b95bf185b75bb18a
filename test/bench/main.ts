/**
 * `npm run bench -- SUITE... [--json] [--record] [--only ROW]... [--quick] [--rounds N]`: runs suites, prints a table or JSON rows, exits with 1 where a bar is
 * missed.
 *
 * `--record` writes the charts and tables of `docs/benchmarks.md`, with the command that made them. The suites `network`, `shares` and `file-servers` take `--only`, part of a
 * row's name, and `--quick`, with a tenth of the work, and `--rounds N`, how often each contestant has its turn.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { parseRounds, type SuiteOptions } from "./options.ts"
import { markdownTable, svgChart, textTable } from "./report.ts"
import type { Row } from "./row.ts"
import { boot } from "./suites/boot.ts"
import { engine } from "./suites/engine.ts"
import { footprint } from "./suites/footprint.ts"
import { leases } from "./suites/leases.ts"
import { loop } from "./suites/loop.ts"
import { network } from "./suites/network.ts"
import { fileServers, shares } from "./suites/shares.ts"
import { vsock } from "./suites/vsock.ts"

type Suite = (progress: (text: string) => void, options: SuiteOptions) => Promise<readonly Row[]>

const SUITES: Readonly<Record<string, Suite>> = {
  boot,
  footprint,
  loop,
  engine,
  vsock,
  network,
  shares,
  "file-servers": fileServers,
  leases,
}
const docs = join(import.meta.dirname, "../../docs")

const HELP = `npm run bench -- [SUITE...] [options]: measures ours beside its peers, and exits with 1 where a bar is missed.

Suites: ${Object.keys(SUITES).join(", ")} (all, if none is named)

  --record      write the tables and charts of docs/benchmarks.md
  --rounds N    how often each contestant has its turn (network, shares, file-servers)
  --only ROW    only rows with this in their names; may be repeated (the same suites)
  --quick       less of everything: a tenth of the files, shorter times (the same suites)
  --json        rows as JSON, with what each peer did

Examples:
  npm run bench -- leases
  npm run bench -- shares --rounds 3 --record
  npm run bench -- shares --only events
`

function refuse(why: string): never {
  process.stderr.write(`error: ${why}; see npm run bench -- --help\n`)
  process.exit(2)
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        record: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        quick: { type: "boolean", default: false },
        rounds: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    })
  } catch (error) {
    // Its message is a sentence; what follows the first is advice about "--".
    return refuse((error instanceof Error ? error.message : String(error)).replace(/\. .*/s, ""))
  }
}

const { values, positionals } = parse()
if (values.help) {
  process.stdout.write(HELP)
  process.exit(0)
}
if (values.record && values.only.length > 0) refuse("--record is for a whole run, without --only")
const rounds = values.rounds === undefined ? undefined : parseRounds(values.rounds)
if (values.rounds !== undefined && rounds === undefined) {
  refuse(`--rounds is a number from 1 to 99, not "${values.rounds}"`)
}
const names = positionals.length === 0 ? Object.keys(SUITES) : positionals
const chosen = names.map((name) => ({
  name,
  suite: SUITES[name] ?? refuse(`there is no suite "${name}"; there are ${Object.keys(SUITES).join(", ")}`),
}))
const rows: Row[] = []
for (const { name, suite } of chosen) {
  process.stderr.write(`${name}\n`)
  const result = await suite((text) => process.stderr.write(`${text}\n`), { ...values, rounds })
  rows.push(...result)
  if (values.record) record(name, result)
}
process.stdout.write(values.json ? `${JSON.stringify(rows, undefined, 2)}\n` : `${textTable(rows)}\n`)
process.exit(rows.every((row) => row.ok) ? 0 : 1)

function record(name: string, result: readonly Row[]): void {
  mkdirSync(join(docs, "charts"), { recursive: true })
  writeFileSync(join(docs, "charts", `${name}.svg`), svgChart(name, result))
  const path = join(docs, "benchmarks.md")
  const begin = `<!-- ${name} -->`
  const end = `<!-- /${name} -->`
  const machine = `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? "unknown"}, Node ${process.versions.node}`
  const said = (values.quick ? " --quick" : "") + (rounds === undefined ? "" : ` --rounds ${rounds}`)
  const command = `\`npm run bench -- ${name} --record${said}\``
  const section = [
    begin,
    `## ${name}`,
    "",
    `${command} on ${machine}:`,
    "",
    markdownTable(result),
    "",
    `![${name}](charts/${name}.svg)`,
    end,
  ].join("\n")
  const page = existsSync(path) ? readFileSync(path, "utf8") : "# Benchmarks\n"
  const from = page.indexOf(begin)
  const next =
    from < 0
      ? `${page.trimEnd()}\n\n${section}\n`
      : page.slice(0, from) + section + page.slice(page.indexOf(end) + end.length)
  writeFileSync(path, next)
  execFileSync(join(docs, "../node_modules/.bin/biome"), ["format", "--write", path], { stdio: "ignore" })
}

/**
 * The network sidecar beside pasta, passt, slirp4netns and gvproxy: the same guest, load and server for all, in namespaces that lead nowhere.
 *
 * The C programs of the load and of the cable are compiled here, from `../network`. Needs root.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cleanup } from "@skep/runtime"
import { run } from "../home.ts"
import { type Arena, type Contestant, contestant, HOST_PORT } from "../network/contestant.ts"
import { GROUPS, type Group } from "../network/links.ts"
import { verified, WrongBytes } from "../network/load.ts"
import { machine } from "../network/machine.ts"
import { measure, type Settings, wantedOf } from "../network/measurement.ts"
import { memory } from "../network/memory.ts"
import { namespaces } from "../network/namespaces.ts"
import { labelOf, type Peer } from "../network/peer.ts"
import { start } from "../network/process.ts"
import type { SuiteOptions } from "../options.ts"
import type { Row } from "../row.ts"

const SOURCES = join(import.meta.dirname, "../network")
const VERIFIED_BYTES = 64 * 2 ** 20

export async function network(
  progress: (text: string) => void,
  options: SuiteOptions,
): Promise<readonly Row[]> {
  if (process.getuid?.() !== 0) {
    progress("  skipped: network namespaces need root")
    return []
  }
  const { only, quick } = options
  const settings: Settings = {
    rounds: options.rounds ?? (quick ? 1 : 5),
    seconds: quick ? 1 : 2,
    shortSeconds: 1,
    floodSeconds: quick ? 5 : 60,
    wanted: (row) => only.length === 0 || only.some((part) => row.includes(part)),
    progress,
  }
  const directory = mkdtempSync(join(tmpdir(), "skep-net-"))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  process.once("exit", remove) // a signal's
  try {
    await using cleanup = new Cleanup()
    const programs = { netload: join(directory, "netload"), cable: join(directory, "cable") }
    await compile(["netload.c", "serve.c", "agent.c"], programs.netload, "-static")
    await compile(["cable.c"], programs.cable)
    const spaces = cleanup.use(await namespaces())
    const log = join(directory, "server.log")
    const serve = [programs.netload, "serve", "127.0.0.1", String(HOST_PORT)]
    cleanup.use(await start(serve, { namespace: spaces.host, log, untilLine: true }))
    const arena: Arena = { namespaces: spaces, programs, directory }
    const rows: Row[] = []
    for (const group of GROUPS) rows.push(...(await grouped(arena, group, settings)))
    rows.push(...(await memory(arena, settings)), ...(await machine(arena, settings)))
    return rows.filter(({ name }) => settings.wanted(name))
  } finally {
    remove()
    process.removeListener("exit", remove)
  }
}

async function compile(
  sources: readonly string[],
  program: string,
  ...flags: readonly string[]
): Promise<void> {
  const files = sources.map((name) => join(SOURCES, name))
  await run("gcc", ["-O2", "-Wall", "-Wextra", ...flags, "-o", program, ...files], process.env)
}

/** All contestants of a group live at the same time; those at rest cost nothing. */
async function grouped(arena: Arena, group: Group, settings: Settings): Promise<readonly Row[]> {
  const measurements = wantedOf(group.measurements, settings)
  if (measurements.length === 0) return []
  settings.progress(`  ${group.name}`)
  await using cleanup = new Cleanup()
  const contestants: Contestant[] = []
  for (const peer of group.peers) {
    const who = await entered(arena, peer, group, settings.progress)
    if (who !== undefined) contestants.push(cleanup.use(who))
  }
  return await measure(contestants, measurements, settings)
}

/** Its data is compared once, before anything is measured. What cannot take part is told. */
async function entered(
  arena: Arena,
  peer: Peer,
  { impairment }: Group,
  progress: (text: string) => void,
): Promise<Contestant | undefined> {
  const missing = peer.missing()
  if (missing !== undefined) {
    progress(`    without ${labelOf(peer)}: ${missing}`)
    return undefined
  }
  const told = (error: unknown): string => (error instanceof Error ? error.message : String(error))
  try {
    await using cleanup = new Cleanup()
    const who = cleanup.use(await contestant(arena, peer, impairment))
    try {
      await verified(who, impairment === undefined ? VERIFIED_BYTES : VERIFIED_BYTES / 64, 7)
    } catch (error) {
      // To stall is slow, which is what is measured.
      if (error instanceof WrongBytes) throw error
      progress(`    ${labelOf(peer)}: ${told(error)}`)
    }
    cleanup.move()
    return who
  } catch (error) {
    progress(`    without ${labelOf(peer)}: ${told(error)}`)
    return undefined
  }
}

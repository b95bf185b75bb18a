/**
 * What the loop thread is put together from: shares and their tree, the virtiofs device on its socket, NFS where it was asked for.
 *
 * @module
 */
import { randomBytes } from "node:crypto"
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { POLICIES, type PolicyOf } from "@skep/fuse"
import type { Loop, Scope, SyscallPool } from "@skep/loop"
import type { Handlers } from "@skep/loop/worker"
import { NfsServer } from "@skep/nfs"
import { errnoOf } from "@skep/runtime"
import { listenUnix, Server } from "@skep/vhost-user"
import { EchoQueue, isGhost, withEchoes } from "../events/index.ts"
import { watchCompany } from "../lonely.ts"
import type { SharesOptions } from "../options.ts"
import type { ThreadCalls, ThreadData, ThreadNotice } from "../thread/calls.ts"
import type { Hidden, HiddenFile } from "../tree/hidden.ts"
import { PLACE } from "../tree/numbers.ts"
import type { ShareTree } from "../tree/share-tree.ts"
import { type VirtiofsDevice, virtiofsDevice } from "../virtiofs/index.ts"
import { type OpenedShare, openShare, type ShareOwnership } from "./open-share.ts"
import { OwnerExports } from "./owner-exports.ts"
import { ServedShares } from "./served-shares.ts"

/** How often it is looked whether the shared directories are where they were. */
const LOOK_MS = 2000
const KEY_BYTES = 32
const LOOPBACK = "127.0.0.1"

export interface Serving {
  readonly loop: Loop
  readonly data: ThreadData
  /** Owned from now on. */
  readonly pool: SyscallPool | undefined
  readonly notify: (notice: ThreadNotice) => void
}

export function serveShares(serving: Serving): Handlers<ThreadCalls> {
  const { loop, pool, notify } = serving
  const { options } = serving.data
  const scope = loop.scope("shares")
  if (pool !== undefined) {
    scope.onDispose(() => pool[Symbol.dispose]())
    pool.attach(scope)
  }
  const opened = new Map<number, OpenedShare>()
  const queue = new EchoQueue({
    send: (lines) => notify({ type: "echo", lines }),
    onOverflow: () => {
      for (const { events } of opened.values()) events?.renew()
    },
  })
  const exports = new OwnerExports(() => performance.now())
  const served = openShares(serving, { scope, queue, opened, exports })
  let mounted = false
  const device = virtiofsDevice({
    scope,
    fileSystem: served.tree,
    policyOf: withEchoes(policyOf(served), queue),
    xattrs: options.xattrs,
    stateFile: join(options.stateDirectory, "virtiofs.state"),
    drain: () => pool?.drain(),
    onInit: () => {
      served.renew()
      mounted = true
      notify({ type: "guest-began" })
    },
  })
  if (device.setAside !== undefined) notify({ type: "state-lost", reason: device.setAside })
  const nfs = options.nfs === undefined ? undefined : serveNfs(scope, options, served.tree)
  const server = serveDevice({ loop, scope, device, options, notify })
  return {
    put: ({ rule, directory }) => served.put(rule, directory),
    remove: (target) => served.remove(target),
    guest: (state) => (state === "lost" ? queue.pause() : queue.open(state === "again")),
    echoed: (results) => queue.settle(results),
    ...ownerCalls(served, opened, exports),
    status: () => ({
      connected: server.connection !== undefined,
      mounted: mounted || device.session.agreed,
      shares: served.shares,
      ...(nfs === undefined ? {} : { nfs: nfs.place }),
      counters: {
        ...device.counts(),
        ...queue.counters,
        ...sum([...opened.values()].map(({ counters }) => counters())),
        ...prefixed("nfs", nfs?.server.counters ?? {}),
      },
    }),
  }
}

type OwnerCalls = "beginOwners" | "nextOwners" | "endOwners" | "importOwners"

function ownerCalls(
  served: ServedShares,
  opened: ReadonlyMap<number, OpenedShare>,
  exports: OwnerExports,
): Pick<Handlers<ThreadCalls>, OwnerCalls> {
  const find = (target: string): { readonly number: number; readonly owners: ShareOwnership } | undefined => {
    const number = served.shares.find(({ rule }) => rule.target === target)?.number ?? -1
    const owners = opened.get(number)?.owners
    return owners && { number, owners }
  }
  return {
    beginOwners: (target) => {
      const found = find(target)
      return found && exports.begin(found.number, found.owners.export())
    },
    nextOwners: (number) => exports.next(number),
    endOwners: (number) => exports.end(number),
    importOwners: ({ target, lines }) => find(target)?.owners.import(lines),
  }
}

interface ShareWorld {
  readonly scope: Scope
  readonly queue: EchoQueue
  /** By number. */
  readonly opened: Map<number, OpenedShare>
  readonly exports: OwnerExports
}

function openShares(
  { data, pool, notify }: Serving,
  { scope, queue, opened, exports }: ShareWorld,
): ServedShares {
  const { options, rules } = data
  const hidden: Hidden = { list: findHidden(options.hidden) }
  const served = new ServedShares(
    {
      stateDirectory: options.stateDirectory,
      open: (entry, journal) => {
        const { target } = entry.rule
        const share = openShare({
          entry,
          journal,
          hidden,
          options,
          scope,
          pool,
          queue,
          onEvent: (event) => notify({ type: "file-event", target, ...event }),
          report: (reason) => notify({ type: "share-note", target, reason }),
        })
        opened.set(entry.number, share)
        return share.fileSystem
      },
      onEnd: (number) => {
        opened.delete(number)
        exports.drop(number)
      },
      now: Date.now,
      onNotice: notify,
    },
    rules,
  )
  scope.onDispose(() => served[Symbol.dispose]())
  regularly(scope, LOOK_MS, () => {
    hidden.list = findHidden(options.hidden)
    served.look()
  })
  return served
}

interface DeviceParts {
  readonly loop: Loop
  readonly scope: Scope
  readonly device: VirtiofsDevice
  readonly options: SharesOptions
  readonly notify: (notice: ThreadNotice) => void
}

function serveDevice({ loop, scope, device, options, notify }: DeviceParts): Server {
  const { lonelyMs, socket } = options
  const company = watchCompany(scope, lonelyMs, () => {
    notify({ type: "lonely", lonelyMs })
    loop.stop()
  })
  const server = new Server(loop, {
    device,
    fd: listenUnix(socket),
    onConnect: () => {
      company.came()
      notify({ type: "connected" })
    },
    onDisconnect: (reason) => {
      company.left()
      notify({ type: "disconnected", reason })
    },
    onBroken: ({ index }, reason) => notify({ type: "broken", queue: index, reason }),
  })
  scope.onDispose(() => rmSync(socket, { force: true }))
  return server
}

interface ServedNfs {
  readonly server: NfsServer
  /** A path, or a port of loopback. */
  readonly place: string | number
}

function serveNfs(scope: Scope, options: SharesOptions, tree: ShareTree): ServedNfs {
  const { nfs, stateDirectory } = options
  const identity = secretOf(join(stateDirectory, "nfs.key"))
  const server = new NfsServer({ scope, exports: { "/": { fileSystem: tree } }, identity })
  if (nfs !== undefined && "socket" in nfs) {
    server.listen({ path: nfs.socket })
    scope.onDispose(() => rmSync(nfs.socket, { force: true }))
    return { server, place: nfs.socket }
  }
  return { server, place: server.listen({ host: LOOPBACK, port: nfs?.port ?? 0 }) }
}

/** What handles are made with, so that they outlive this process. */
function secretOf(path: string): Uint8Array {
  try {
    const found = readFileSync(path)
    if (found.length === KEY_BYTES) return found
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
  }
  const made = randomBytes(KEY_BYTES)
  writeFileSync(path, made, { mode: 0o600 })
  return made
}

/** What the guest may keep, by the rule of the share that a node is of. The root of all changes at any time. */
function policyOf(served: ServedShares): PolicyOf {
  const { tree } = served
  return (node) => {
    // What the guest is only told of, so that it tells its watchers, is not for its memory.
    if (isGhost(node % PLACE)) return POLICIES.consistent
    const number = tree.shareOf(node)
    const rule = number === undefined ? undefined : served.ruleOf(number)
    return POLICIES[rule?.cache ?? "consistent"]
  }
}

function regularly(scope: Scope, everyMs: number, what: () => void): void {
  const timer = scope.timer(() => {
    what()
    timer.after(everyMs)
  })
  timer.after(everyMs)
}

/** Which files the hidden paths are now. */
function findHidden(paths: readonly string[]): readonly HiddenFile[] {
  return paths.flatMap((path) => {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (found === undefined) return []
    return [
      {
        device: Number(found.dev),
        inoLow: Number(found.ino & 0xffff_ffffn),
        inoHigh: Number(found.ino >> 32n),
        name: new TextEncoder().encode(basename(path)),
      },
    ]
  })
}

function sum(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const result: Record<string, number> = {}
  for (const one of all)
    for (const [name, value] of Object.entries(one)) result[name] = (result[name] ?? 0) + value
  return result
}

/** `nfsCalls` and so on: as `/metrics` has them. */
function prefixed(prefix: string, counters: object): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(counters).flatMap(([name, value]: [string, unknown]) =>
      typeof value === "number"
        ? [[`${prefix}${name.slice(0, 1).toUpperCase()}${name.slice(1)}`, value]]
        : [],
    ),
  )
}

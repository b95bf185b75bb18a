/**
 * Shared directories as `skep share ls`, `share add` and `status` tell of them. Pure.
 *
 * @module
 */
import { posix } from "node:path"
import type { SidecarEvent } from "@skep/contract"
import type { SharedDirectory, SharesView } from "../backend/shares.ts"
import type { Row } from "./guest-rows.ts"

export interface ShareTable {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** What does not fit into columns. */
  readonly remarks: readonly string[]
}

export function shareTable({ provider, protocol, reason, shares }: SharesView): ShareTable {
  const how = protocol === undefined ? [] : [`by ${protocol}: ${reason ?? provider}`]
  return {
    head: ["TARGET", "PATH", "ACCESS", "CACHE", "OWNERSHIP", "STATE"],
    rows: shares.map((share) => [
      share.target,
      share.path === share.target ? "same" : share.path,
      share.readOnly ? "read-only" : "read-write",
      share.cache,
      // The kernel's server knows one owner.
      protocol === "exports" ? "yours" : share.ownership,
      share.state,
    ]),
    remarks: [...how, ...shares.flatMap(remarks)],
  }
}

/** For `share add`. */
export function shareSentence(
  { path, target, state, reason, readOnly }: SharedDirectory,
  machine: string,
): string {
  const where = path === target ? "" : ` at ${target}`
  const how = readOnly ? ", for reading only" : ""
  const shared = `${path} is shared with ${machine}${where}${how}`
  switch (state) {
    case "mounted":
      return shared
    case "stopped":
      return `${shared}, and there when it is up`
    case "unserved":
      return `${shared}, and there when it was started again: skep restart ${machine}`
    case "waiting":
    case "gone":
    case "failed":
      return `${shared}, but it is ${state}${reason === undefined ? "" : `: ${reason}`}`
  }
}

/** For `status`: a row a share. */
export function shareRows(view: SharesView | undefined): readonly Row[] {
  if (view === undefined) return []
  return view.shares.map((share): Row => {
    const where = share.path === share.target ? share.path : `${share.path} -> ${share.target}`
    const words = [
      share.readOnly ? "read-only" : "read-write",
      ...(share.state === "stopped" ? [] : [share.state]),
    ]
    const by = share.state === "mounted" && view.protocol !== undefined ? `, by ${view.protocol}` : ""
    return ["share", `${where} (${words.join(", ")}${by})`]
  })
}

/** For `share events`: what the sidecar tells of files and of shares; undefined for what concerns nobody here. */
export function shareEventLine(event: SidecarEvent, at: Date): string | undefined {
  const words = eventWords(event)
  return words === undefined ? undefined : `${at.toTimeString().slice(0, 8)}  ${words}`
}

function eventWords({ type, target, kind, path, to, isDirectory, reason }: SidecarEvent): string | undefined {
  if (typeof target !== "string") return undefined
  const slash = isDirectory === true ? "/" : ""
  const named = (below: unknown): string => `${posix.join(target, String(below))}${slash}`
  switch (type) {
    case "file-event":
      if (kind === "overflow") return `overflow    ${target}: there was more than could be told`
      if (kind === "rename") return `rename      ${named(path)} -> ${named(to)}`
      return `${String(kind).padEnd(10)}  ${named(path)}`
    case "share-added":
    case "share-mounted":
    case "share-removed":
    case "share-gone":
    case "share-back":
    case "share-note":
      return `${type.slice("share-".length).padEnd(10)}  ${target}${typeof reason === "string" ? `: ${reason}` : ""}`
    default:
      return undefined
  }
}

function remarks({ target, path, state, reason }: SharedDirectory): readonly string[] {
  const why = reason === undefined ? "" : `: ${reason}`
  switch (state) {
    case "mounted":
    case "stopped":
      return []
    case "waiting":
      return [`${target} waits for the machine${why}`]
    case "gone":
      return [`${target} is empty until ${path} is there again${why}`]
    case "failed":
      return [`${target} cannot be had${why}`]
    case "unserved":
      return [`${target} is there when the machine was started again`]
  }
}

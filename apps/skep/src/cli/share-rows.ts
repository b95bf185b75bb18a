/**
 * Shared directories as `skep share ls`, `share add` and `status` tell of them. Pure.
 *
 * @module
 */
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
      share.ownership,
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

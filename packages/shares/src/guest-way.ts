/**
 * The way to the guest of a machine: what the options say of it, and what goes over it between the guest's agent and the loop thread.
 *
 * @module
 */
import type { Context, ShareCache } from "@skep/contract"
import { exportedPath } from "./exports/system.ts"
import { dialGuest, type EchoResult, GuestShares, type Place } from "./guest/index.ts"
import { type GuestShare, GuestSide, type GuestSideOptions, type Mount } from "./guest-side.ts"
import type { SharesOptions } from "./options.ts"

export interface GuestWayOptions {
  readonly options: Pick<SharesOptions, "guest" | "protocol" | "tag" | "nfsAddress" | "nfsPort" | "exports">
  readonly context: Pick<Context, "log" | "emit">
  /** Where NFS is served: a path, or a port of loopback. */
  readonly nfs: string | number | undefined
  /** Which guest the changes of the host go to. */
  readonly onGuest: (state: "new" | "again" | "lost") => void
  /** What the guest has made of them. */
  readonly onEchoed: (results: readonly EchoResult[]) => void
}

export interface OpenedGuest {
  readonly side: GuestSide
  /** Tells the guest of changes. */
  readonly echo: (lines: readonly string[]) => void
  /** Something says that the guest is there. */
  readonly nudge: () => void
}

/** Undefined where no way was told: then the guest mounts by itself, or not at all. */
export function openGuest(way: GuestWayOptions): OpenedGuest | undefined {
  const { guest } = way.options
  if (guest === undefined) return undefined
  // Another server than ours would do what the guest only repeats: it hears of no changes then.
  const repeats = way.options.protocol !== "exports"
  let part: GuestShares | undefined
  const side = new GuestSide({
    context: way.context,
    mounts: mountsOf(way),
    open: ({ onReady, onLost }) => {
      part = new GuestShares({
        log: way.context.log,
        dial: (signal) => dialGuest(guest, signal),
        onReady: ({ again }) => {
          if (repeats) way.onGuest(again ? "again" : "new")
          onReady()
        },
        onLost: () => {
          if (repeats) way.onGuest("lost")
          onLost()
        },
        onEchoed: way.onEchoed,
      })
      return part
    },
  })
  return { side, echo: (lines) => (repeats ? part?.echo(lines) : undefined), nudge: () => part?.nudge() }
}

/** How long the guest believes what it has seen, where no events tell it better. */
const AGE_S: Readonly<Record<ShareCache, number>> = { consistent: 0, cached: 1, delegated: 30 }

function exported({
  exports,
  nfsAddress,
}: GuestWayOptions["options"]): readonly (Mount & { reason: string })[] {
  if (exports === undefined || nfsAddress === undefined) return []
  const { port, mountPort } = exports
  const platform = process.platform === "darwin" ? "macos" : "linux"
  const placeOf = ({ path, cache }: GuestShare["rule"]): Place => ({
    address: nfsAddress,
    port,
    mountPort,
    ageS: AGE_S[cache],
    path: exportedPath(path, platform),
  })
  return [{ kind: "exports", placeOf, reason: "it was asked for" }]
}

/** Ways to mount, the best first. */
function mountsOf({ options, nfs }: GuestWayOptions): GuestSideOptions["mounts"] {
  const { protocol, tag, nfsAddress, nfsPort = typeof nfs === "number" ? nfs : undefined } = options
  const asked = "it was asked for"
  const virtiofs = {
    kind: "virtiofs",
    tag,
    reason: protocol === "auto" ? "the machine has a device for it, which is the fastest way" : asked,
  } as const
  const over =
    nfsPort !== undefined && nfsAddress !== undefined
      ? [
          {
            kind: "nfs",
            address: nfsAddress,
            port: nfsPort,
            reason: protocol === "auto" ? "virtiofs cannot be mounted" : asked,
          } as const,
        ]
      : []
  switch (protocol) {
    case "virtiofs":
      return [virtiofs]
    case "nfs":
      return over
    case "exports":
      return exported(options)
    case "auto":
      return [virtiofs, ...over]
  }
}

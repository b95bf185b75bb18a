/**
 * The loop thread of the keeper program: one keeper a device.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import { connectUnix, Keeper } from "@skep/vhost-user"
import type { KeeperOptions } from "./options.ts"
import type { KeeperStatus, KeptState } from "./status.ts"

export interface ThreadCalls {
  status(argument: undefined): KeeperStatus
}

export type ThreadNotice =
  | {
      readonly type: "device"
      readonly device: string
      readonly state: KeptState
      readonly reason: string
    }
  /** No QEMU has been there for as long as it was to wait. */
  | { readonly type: "lonely" }

runLoop<ThreadCalls, KeeperOptions, ThreadNotice>(({ loop, data: { devices, lonelyMs, late }, notify }) => {
  const scope = loop.scope("keeper")
  const lonely = scope.timer(() => void notify({ type: "lonely" }))
  const watch = (): void => {
    if (lonelyMs === 0) return
    if (keepers.some(({ keeper }) => keeper.fronted)) lonely.cancel()
    else if (lonely.deadline === Number.POSITIVE_INFINITY) lonely.after(lonelyMs)
  }
  const keepers = devices.map(({ name, front, back }) => ({
    name,
    keeper: new Keeper(loop, {
      name,
      front: { connect: () => connectUnix(front) },
      connect: () => connectUnix(back),
      onFront: watch,
      onState: (state, reason) => void notify({ type: "device", device: name, state, reason }),
    }),
  }))
  watch()
  return {
    status: () => ({
      devices: keepers.map(({ name, keeper }) => ({ name, state: keeper.state, runs: keeper.runs })),
      late,
      counters: countersOf(keepers),
    }),
  }
})

/** `vsock_relayed`, `vsock_replays`, … */
function countersOf(
  keepers: readonly { readonly name: string; readonly keeper: Keeper }[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    keepers.flatMap(({ name, keeper }) =>
      Object.entries(keeper.counters).map(([counter, value]) => [`${name}_${counter}`, value]),
    ),
  )
}

/**
 * A loop thread with a keeper between the front end and the back end of a test.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import { connectUnix, Keeper, type KeeperCounters, type KeeperState, listenUnix } from "@skep/vhost-user"

export interface KeeperCalls {
  status(argument: undefined): { readonly state: KeeperState; readonly counters: KeeperCounters }
}

runLoop<KeeperCalls, { readonly front: string; readonly back: string }>(({ loop, data }) => {
  const keeper = new Keeper(loop, {
    name: "vsock",
    front: { listen: listenUnix(data.front) },
    connect: () => connectUnix(data.back),
  })
  return { status: () => ({ state: keeper.state, counters: { ...keeper.counters } }) }
})

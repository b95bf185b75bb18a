/**
 * A loop thread with a keeper between the fake QEMU and the device.
 *
 * @module
 */
import { runLoop } from "@skep/loop/worker"
import { connectUnix, Keeper, listenUnix } from "@skep/vhost-user"

runLoop<Record<string, never>, { readonly front: string; readonly back: string }>(({ loop, data }) => {
  new Keeper(loop, {
    name: "shares",
    front: { listen: listenUnix(data.front) },
    connect: () => connectUnix(data.back),
  })
  return {}
})

/**
 * A machine without a VM: a keeper, a fake QEMU before it, and FUSE's other side in the guest's place.
 *
 * @module
 */
import { setImmediate as turn } from "node:timers/promises"
import type { GuestFiles } from "@skep/contract-tests"
import { FuseClient } from "@skep/fuse/driver"
import { startLoop } from "@skep/loop"
import { Cleanup } from "@skep/runtime"
import { filesOf } from "./files-of.ts"
import { VhostChannel } from "./vhost-channel.ts"

export interface VhostMachine extends AsyncDisposable {
  readonly client: FuseClient
  readonly channel: VhostChannel
  /** The files of the share with this number. */
  files(share: number | string): GuestFiles
}

export interface VhostMachineOptions {
  /** Where the device listens. */
  readonly back: string
  /** A path for the keeper. */
  readonly front: string
  /** The keeper's thread. */
  readonly keeper: URL
}

export async function startVhostMachine({
  back,
  front,
  keeper: entry,
}: VhostMachineOptions): Promise<VhostMachine> {
  await using cleanup = new Cleanup()
  cleanup.use(await startLoop(entry, { data: { front, back } }))
  const channel = new VhostChannel(front)
  cleanup.defer(() => channel[Symbol.dispose]())
  channel.start()
  const client = new FuseClient({ channel, plus: true, listBytes: 32 * 1024 })
  const agreed = client.init()
  if (typeof agreed === "number") throw new Error(`INIT: ${agreed}`)
  const owned = cleanup.move()
  return {
    client,
    channel,
    files: (share) =>
      filesOf({
        fs: client,
        share: String(share),
        turn: async () => {
          channel.collect()
          await turn()
        },
        waits: (on) => {
          channel.waits = on
        },
      }),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

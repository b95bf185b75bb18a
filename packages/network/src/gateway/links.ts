/**
 * Opens the link of a machine by system calls, of whatever kind.
 *
 * @module
 */
import { rmSync } from "node:fs"
import { type Link, LoopStreamIo, openTap, StreamLink, type SystemMemory, TapLink } from "@skep/link"
import { VhostNetLink } from "@skep/link/vhost-net"
import type { Loop, Scope } from "@skep/loop"
import { listenUnix, Server } from "@skep/vhost-user"
import type { LinkSpec } from "../links/link-spec.ts"
import type { LinkOptions, OpenedLink } from "./driver.ts"

export interface LoopLinkOptions extends LinkOptions {
  readonly loop: Loop
  readonly scope: Scope
  readonly memory: SystemMemory
}

/** Throws the `SystemError` of what refused. */
export function openLink(spec: LinkSpec, options: LoopLinkOptions): Omit<OpenedLink, typeof Symbol.dispose> {
  const { scope, memory } = options
  const name = spec.machine
  const mtu = spec.mtu ?? options.mtu
  switch (spec.kind) {
    case "tap": {
      const device = openTap({
        interfaceName: spec.interface,
        mtu,
        up: true,
        ...(spec.netns === undefined ? {} : { netns: spec.netns }),
      })
      return { link: new TapLink({ name, scope, memory, device }), endpoint: device.interfaceName }
    }
    case "qemu": {
      const io = new LoopStreamIo({ scope, memory, end: { listen: spec.socket } })
      const link = new StreamLink({ name, memory, mtu, io, onEnd: options.onBroken })
      return { link, endpoint: spec.socket }
    }
    case "vhost-user":
      return { link: openVhostNet(spec.socket, { ...options, name, mtu }), endpoint: spec.socket }
  }
}

function openVhostNet(socket: string, options: LoopLinkOptions & { readonly name: string }): Link {
  const { loop, scope, memory, name, mtu, onBroken } = options
  const link = new VhostNetLink({ name, scope, memory, mtu })
  const server = new Server(loop, {
    device: link,
    fd: listenUnix(socket),
    onBroken: (_queue, reason) => onBroken(reason),
  })
  scope.onDispose(() => {
    server[Symbol.dispose]()
    rmSync(socket, { force: true })
  })
  return link
}

/**
 * A loop that blocks in the kernel when it is asked to, for signals to interrupt it.
 *
 * @module
 */
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"

export type Way = "read" | "readv" | "receive" | "receiveMessage" | "accept" | "epoll"

export interface Blocking {
  /** Waits in this call for one byte, or one connection, at `fd`; returns its result. */
  wait(ask: { readonly way: Way; readonly fd: number }): number
}

runLoop<Blocking>(({ loop }) => {
  const scratch = new Scratch(4096)
  loop.onDispose(() => scratch[Symbol.dispose]())
  const { address } = scratch.region("bytes", 16)
  const iovecs = new Iovecs(scratch, "iovecs", 1)
  const message = new Message(scratch, "message")
  iovecs.push(address, 16)
  return {
    wait: ({ way, fd }, call) => {
      switch (way) {
        case "read":
          return sys.read(fd, address, 16)
        case "readv":
          return sys.readv(fd, iovecs.address, iovecs.count)
        case "receive":
          return sys.receive(fd, address, 16)
        case "receiveMessage":
          message.prepareReceive(iovecs)
          return sys.receiveMessage(fd, message.header)
        case "accept": {
          const accepted = sys.accept(fd)
          if (accepted >= 0) sys.close(accepted)
          return accepted < 0 ? accepted : 1
        }
        case "epoll": {
          const reply = call.later()
          const registration = loop.add(fd, sys.EPOLLIN, () => {
            registration.remove()
            reply.resolve(sys.read(fd, address, 16))
          })
          return reply
        }
      }
    },
  }
})

/**
 * A fake QEMU and its guest in this thread, before a sidecar or a keeper in another thread or process. Clients are sockets of `node:net`.
 *
 * @module
 */
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises"
import { DriverRing, FrontEnd, GuestRam } from "@skep/fake-qemu"
import { check } from "@skep/loop"
import { connectUnix } from "@skep/vhost-user"
import { connectPath, hyperkitGreeting } from "@skep/vsock-host/dialect"
import { CID, RingGuest } from "../bridge/ring-guest.ts"

/** Starts a machine on a vhost-user socket; its guest works until it is disposed. */
export function startMachine(socket: string): AsyncDisposable & { readonly guest: RingGuest } {
  const ram = new GuestRam({ sizes: [1 << 20, 8 << 20] })
  const rings = [new DriverRing(ram, { size: 256 }), new DriverRing(ram, { size: 256 })] as const
  const front = new FrontEnd({ fd: check(connectUnix(socket), "connect"), ram })
  const guest = new RingGuest(ram, rings)
  front.start(rings)
  for (const ring of rings) ring.kickAnyway()
  let running = true
  const work = async (): Promise<void> => {
    while (running) await (guest.poll() ? turn() : delay(1))
  }
  const worked = work()
  return {
    guest,
    [Symbol.asyncDispose]: async () => {
      running = false
      await worked
      front[Symbol.dispose]()
      for (const ring of rings) ring[Symbol.dispose]()
      ram[Symbol.dispose]()
    },
  }
}

/** How the stream of a client went. */
export type Outcome = "served" | "ended" | "backlog full"

/** A client of the HyperKit socket that wants one word back, then leaves. */
export async function ask(directory: string, port: number, word: string): Promise<Outcome> {
  const socket = connect(connectPath(directory))
  let said = ""
  const outcome = new Promise<Outcome>((resolve) => {
    socket.on("error", (error) =>
      resolve("code" in error && error.code === "EAGAIN" ? "backlog full" : "ended"),
    )
    socket.on("close", () => resolve("ended"))
    socket.on("data", (chunk) => {
      said += String(chunk)
      if (said === word) resolve("served")
    })
  })
  socket.write(hyperkitGreeting(CID, port) + word)
  const result = await outcome
  socket.destroy()
  if (!socket.closed) await once(socket, "close")
  return result
}

/** One that stays: `ended` fulfils with its end, whichever that is. */
export function stay(
  directory: string,
  port: number,
): { readonly socket: Socket; readonly ended: Promise<void> } {
  const socket = connect(connectPath(directory))
  socket.on("error", () => socket.destroy())
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  socket.on("end", () => socket.destroy())
  socket.write(hyperkitGreeting(CID, port))
  return { socket, ended }
}

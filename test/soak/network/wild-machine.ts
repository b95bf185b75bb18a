/**
 * A machine with a kernel that behaves and programs that do not: never read, never stop, hang up at once, flood. Run in its network namespace.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { connect, createServer, type Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { report } from "./exchange.ts"

const [, , gateway = "", tcpPort = "", deafPort = "", endlessPort = "", ownPort = ""] = process.argv
const PIECE = Buffer.alloc(65_536)
const counts = { floods: 0, resets: 0, deaf: 0, endless: 0 }
let isOver = false

function opened(port: string): Socket {
  const socket = connect(Number(port), gateway)
  socket.on("error", () => socket.destroy())
  return socket
}

/** Datagrams to whatever port, a few thousand a second. */
async function flood(): Promise<void> {
  const socket = createSocket("udp4")
  socket.on("error", () => undefined)
  while (!isOver) {
    for (let count = 0; count < 100; count++) {
      socket.send(
        PIECE.subarray(0, Math.floor(Math.random() * 1400)),
        1 + Math.floor(Math.random() * 65_000),
        gateway,
        () => undefined,
      )
      counts.floods++
    }
    await delay(20)
  }
}

/** Connections that end by a reset, some in the middle of what they say. */
async function resets(): Promise<void> {
  while (!isOver) {
    const sockets = Array.from({ length: 5 }, () => opened(tcpPort))
    for (const socket of sockets) socket.write(PIECE.subarray(0, Math.floor(Math.random() * 3000)))
    await delay(50)
    for (const socket of sockets) socket.resetAndDestroy()
    counts.resets += sockets.length
  }
}

/** Never reads a stream without end, and says much to who never reads. */
async function stuck(): Promise<void> {
  while (!isOver) {
    const deaf = Array.from({ length: 10 }, () => opened(endlessPort).pause())
    const endless = Array.from({ length: 10 }, () => opened(deafPort))
    for (const socket of endless) while (socket.write(PIECE));
    counts.deaf += deaf.length
    counts.endless += endless.length
    await delay(4000)
    for (const socket of [...deaf, ...endless]) socket.destroy()
  }
}

createServer((socket) => {
  socket.on("error", () => socket.destroy())
  const say = (): void => {
    while (socket.write(PIECE));
  }
  socket.on("drain", say)
  say()
}).listen(Number(ownPort), "0.0.0.0")
report(
  () => counts,
  () => {
    isOver = true
  },
)
await Promise.all([flood(), resets(), stuck()])

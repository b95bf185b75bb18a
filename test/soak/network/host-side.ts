/**
 * The host: run in its network namespace. Servers for the machines, one that never reads, one that never stops; clients of forwards, one of which
 * never reads.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { connect, createServer } from "node:net"
import { echo, echoServer, repeat, report, type Tallies } from "./exchange.ts"

const HOST = "127.0.0.1"
const [, , tcpPort = "", udpPort = "", deafPort = "", endlessPort = "", forwarded = "", deafForward = ""] =
  process.argv
const over = new AbortController()
const tallies: Tallies = {}
const PIECE = Buffer.alloc(65_536)
const DEAF_CLIENTS = 20
const DEAF_MS = 3000

echoServer(Number(tcpPort), HOST)
createServer((socket) => {
  socket.on("error", () => socket.destroy())
  socket.pause()
}).listen(Number(deafPort), HOST, 4096)
createServer((socket) => {
  socket.on("error", () => socket.destroy())
  const say = (): void => {
    while (socket.write(PIECE));
  }
  socket.on("drain", say)
  say()
}).listen(Number(endlessPort), HOST, 4096)
const udp = createSocket("udp4")
udp.on("message", (message, { port, address }) => udp.send(message, port, address))
udp.bind(Number(udpPort), HOST)

/** Clients that ask for a stream without end and never read it. */
async function deafClients(): Promise<void> {
  const clients = Array.from({ length: DEAF_CLIENTS }, () => {
    const client = connect(Number(deafForward), HOST)
    client.on("error", () => client.destroy())
    client.pause()
    return client
  })
  await new Promise((resolve) => setTimeout(resolve, DEAF_MS))
  for (const client of clients) client.destroy()
}

/** The other machine's server may not be there yet. */
async function warmUp(): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      return await echo(HOST, Number(forwarded))
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

report(
  () => tallies,
  () => over.abort(),
)
const pressure: Tallies = {}
await Promise.all([
  warmUp().then(() => repeat(tallies, "TCP in", over.signal, () => echo(HOST, Number(forwarded)))),
  repeat(pressure, "deaf clients", over.signal, deafClients),
])

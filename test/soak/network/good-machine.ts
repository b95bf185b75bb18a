/**
 * The machine that behaves: run in its network namespace with its interface. Renews its address, resolves names, talks TCP and UDP, answers.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { createSocket } from "node:dgram"
import { Resolver } from "node:dns/promises"
import { promisify } from "node:util"
import { echo, echoServer, repeat, report, type Tallies } from "./exchange.ts"

const UDP_TRIES = 5
const UDP_WAIT_MS = 1000
const RENEWAL_MS = 3000
const [, , tap = "", script = "", gateway = "", address = "", tcpPort = "", udpPort = "", ownPort = ""] =
  process.argv
const run = promisify(execFile)
const over = new AbortController()
const { signal } = over
const tallies: Tallies = {}

async function renew(): Promise<void> {
  const { stdout, stderr } = await run("udhcpc", [
    "-i",
    tap,
    "-f",
    "-q",
    "-n",
    "-t",
    "6",
    "-T",
    "1",
    "-r",
    address,
    "-s",
    script,
  ])
  const lease = /lease of ([\d.]+) obtained/.exec(stdout + stderr)?.[1]
  if (lease !== address) throw new Error(`got ${lease ?? "no lease"}, not ${address}`)
  await new Promise((resolve) => setTimeout(resolve, RENEWAL_MS))
}

async function resolve(): Promise<void> {
  const resolver = new Resolver({ timeout: 1500, tries: 4 })
  resolver.setServers([gateway])
  const answers = await resolver
    .resolve4("gateway.skep.internal")
    .catch(() => resolver.resolve4("host.skep.internal"))
  if (answers.length !== 1) throw new Error(`resolved to ${answers.join(" ")}`)
}

async function datagram(): Promise<void> {
  const socket = createSocket("udp4")
  const said = Buffer.from(`${Math.random()}`.repeat(1 + Math.floor(Math.random() * 50)))
  try {
    for (let tries = 0; tries < UDP_TRIES; tries++) {
      const heard = new Promise<boolean>((done) => {
        socket.once("message", (message) => done(message.equals(said)))
        setTimeout(() => done(false), UDP_WAIT_MS)
      })
      socket.send(said, Number(udpPort), gateway)
      if (await heard) return
    }
    throw new Error(`no answer to ${UDP_TRIES} datagrams`)
  } finally {
    socket.close()
  }
}

echoServer(Number(ownPort), "0.0.0.0")
report(
  () => tallies,
  () => over.abort(),
)
await Promise.all([
  repeat(tallies, "TCP out", signal, () => echo(gateway, Number(tcpPort))),
  repeat(tallies, "UDP out", signal, datagram),
  repeat(tallies, "DNS", signal, resolve),
  repeat(tallies, "DHCP", signal, renew),
])
